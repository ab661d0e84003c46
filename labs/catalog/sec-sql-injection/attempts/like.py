# attempt: gives values their own way and forgets the wildcards of LIKE
# earns: values=6
# rest: solution
# answer: values
def login(connection, user, password):
    row = connection.execute("SELECT name FROM account WHERE name = %s AND password = %s", (user, password)).fetchone()
    return row and row[0]


def search(connection, text):
    return connection.execute("SELECT title, author FROM book WHERE title LIKE %s ORDER BY title", (f"%{text}%",)).fetchall()
