# attempt: puts the columns of the index in the order of the ORDER BY
# earns: order=2
# rest: solution
# answer: order
db.sql("CREATE INDEX ON ticket (opened, priority)")
