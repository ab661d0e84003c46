# attempt: locks the course after it has counted, and does not handle errors
# earns: seats=2
# rest: solution
# answer: seats
def enrol(connection, course, student):
    taken = connection.execute("SELECT count(*) FROM seat WHERE course = %s", (course,)).fetchone()[0]
    time.sleep(0.1)
    seats = connection.execute("SELECT seats FROM course WHERE name = %s FOR UPDATE", (course,)).fetchone()[0]
    if taken >= seats:
        connection.rollback()
        return False
    connection.execute("INSERT INTO seat VALUES (%s, %s)", (course, student))
    connection.commit()
    return True
