# attempt: makes tables without constraints, and uses = NULL
# earns: schema=1 join=0
# rest: solution
# answer: schema
schema = """
CREATE TABLE shelf (id INTEGER PRIMARY KEY, code TEXT);
CREATE TABLE part (id INTEGER PRIMARY KEY, shelf_id INTEGER, name TEXT, amount INTEGER);
"""
# answer: join
open_tickets = """
SELECT site.name, device.name, ticket.priority
FROM ticket JOIN device ON device.id = ticket.device_id JOIN site ON site.id = device.site_id
WHERE ticket.closed = NULL ORDER BY 3, 1, 2
"""
