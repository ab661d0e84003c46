# attempt: counts midnight of the next day too, and puts the index on the address as it is written
# earns: unused=0
# rest: solution
# answer: unused
db.sql("CREATE INDEX ON person (email, id)")
rewritten = "SELECT count(*) FROM ticket WHERE priority = 2 AND opened BETWEEN '2026-02-03' AND '2026-02-05'"
