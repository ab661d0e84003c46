# attempt: locks the source first and then the target, and waits for others in the queue
# earns: deadlock=2 queue=2
# rest: solution
# answer: deadlock
def safe_transfer(connection, source, target, amount):
    connection.execute("SELECT 1 FROM account WHERE name = %s FOR UPDATE", (source,))
    connection.execute("SELECT 1 FROM account WHERE name = %s FOR UPDATE", (target,))
    return transfer(connection, source, target, amount)
# answer: queue
def take(connection, worker):
    row = connection.execute("SELECT id FROM job WHERE state = 'waiting' ORDER BY id LIMIT 1 FOR UPDATE").fetchone()
    if row:
        connection.execute("UPDATE job SET state = 'running', worker = %s WHERE id = %s", (worker, row[0]))
    connection.commit()
    return row and row[0]
