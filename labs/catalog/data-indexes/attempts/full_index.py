# attempt: indexes all tickets where the open ones are enough
# earns: partial=2
# rest: solution
# answer: partial
db.sql("CREATE INDEX ON ticket (closed, priority)")
