# attempt: ends the child, which comes back
# earns: repair=0
# rest: solution
# answer: repair
sh("pkill -KILL -f '^cruncher'")
