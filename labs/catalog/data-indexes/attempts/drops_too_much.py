# attempt: keeps the primary key only, and forgets VACUUM
# earns: drop=2 covering=0
# rest: solution
# answer: covering
db.sql("CREATE INDEX ON ticket (device_id) INCLUDE (minutes)")
# answer: drop
db.sql("DROP INDEX event_host, event_host_again, event_host_at, event_kind, event_at, event_size")
