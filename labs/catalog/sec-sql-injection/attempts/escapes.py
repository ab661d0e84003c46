# attempt: takes quotes out of the texts and goes on putting them into the SQL
# earns: values=3 order=2
# rest: solution
# answer: values
def login(connection, user, password):
    user, password = user.replace("'", ""), password.replace("'", "")
    row = connection.execute(f"SELECT name FROM account WHERE name = '{user}' AND password = '{password}'").fetchone()
    return row and row[0]


def search(connection, text):
    text = text.replace("'", "")
    return connection.execute(f"SELECT title, author FROM book WHERE title LIKE '%{text}%' ORDER BY title").fetchall()
# answer: order
def listed(connection, by, down=False):
    return connection.execute(f"SELECT title, author FROM book ORDER BY {by} {'DESC' if down else ''}").fetchall()
