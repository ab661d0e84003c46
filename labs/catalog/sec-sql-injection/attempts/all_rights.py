# attempt: gives the role everything to read, and shows errors to visitors
# earns: rights=0 errors=0
# rest: solution
# answer: rights
db.sql("CREATE ROLE web LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO web")
# answer: errors
def respond(connection, text, log):
    try:
        return 200, find(connection, text)
    except Exception as error:
        log.append(str(error))
        return 500, f"Error {len(log)}: {error}"
