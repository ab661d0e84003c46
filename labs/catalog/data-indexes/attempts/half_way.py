# attempt: reads the plan, but takes the first of the two costs; makes the first index and stops
# earns: read=3 first=4
# answer: read
kind, rows, total = "Seq Scan", 10, 0.0
# answer: first
db.sql("CREATE INDEX ticket_by_device ON ticket (device_id)")
