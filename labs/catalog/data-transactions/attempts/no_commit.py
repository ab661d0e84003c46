# attempt: forgets to commit, and counts visits in two steps
# earns: atomic=0 lost=2
# rest: untouched
# answer: atomic
def transfer(connection, source, target, amount):
    connection.execute("UPDATE account SET balance = balance - %s WHERE name = %s", (amount, source))
    connection.execute("UPDATE account SET balance = balance + %s WHERE name = %s", (amount, target))
    return True
# answer: lost
def count_visit(connection, name):
    n = connection.execute("SELECT visits FROM course WHERE name = %s", (name,)).fetchone()[0] + 1
    time.sleep(0.05)
    connection.execute("UPDATE course SET visits = %s WHERE name = %s", (n, name))
    connection.commit()
    return n
