# attempt: believes that nobody sees anything before, and everything after
# earns: visible=2.5
# rest: solution
# answer: visible
committed = [0, 0, 1]
repeatable = [0, 0, 1]
