# attempt: forgets an order, an empty shelf, the routers without tickets, and writes a query that never ends
# earns: schema=5 filter=1.5 newest=0 fanout=2
# rest: solution
# answer: schema
schema = """
CREATE TABLE shelf (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
CREATE TABLE part (
    id INTEGER PRIMARY KEY, shelf_id INTEGER REFERENCES shelf (id),
    name TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount >= 0)
);
"""
# answer: filter
old_devices = f"SELECT name, year FROM device WHERE kind IN {KINDS} AND year <= {YEAR} ORDER BY name DESC"
# answer: newest
newest_tickets = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*), 1, 1 FROM n"
# answer: fanout
report = """
SELECT device.name, work.minutes, COUNT(port.id)
FROM device
JOIN (SELECT device_id, SUM(minutes) AS minutes FROM ticket GROUP BY device_id) AS work ON work.device_id = device.id
LEFT JOIN port ON port.device_id = device.id
WHERE device.kind = 'router' GROUP BY device.id ORDER BY device.name
"""
