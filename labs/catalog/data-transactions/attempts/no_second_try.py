# attempt: uses the level serializable and does not try again
# earns: skew=2
# rest: solution
# answer: skew
def go_home(connection, doctor):
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    n = connection.execute("SELECT count(*) FROM duty WHERE on_call AND doctor <> %s", (doctor,)).fetchone()[0]
    if n:
        connection.execute("UPDATE duty SET on_call = false WHERE doctor = %s", (doctor,))
    connection.commit()
    return n > 0
