# attempt: joins people and tickets and loses those without any
# earns: report=2
# rest: solution
# answer: report
quick = "SELECT p.id, p.name, count(*) FROM person p JOIN caused c ON c.person_id = p.id WHERE p.id <= 300 GROUP BY p.id ORDER BY p.id"
