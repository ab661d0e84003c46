# attempt: lets the role read the whole table of accounts, and forgets to roll back
# earns: rights=2 errors=2
# rest: solution
# answer: rights
db.sql("CREATE ROLE web LOGIN; GRANT SELECT ON book, account TO web")
# answer: errors
def respond(connection, text, log):
    try:
        return 200, find(connection, text)
    except Exception as error:
        log.append(repr(error))
        return 500, f"Something went wrong (number {len(log)})."
