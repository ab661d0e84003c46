# attempt: believes that both keep their port
# earns: memory=1
# rest: solution
# answer: memory
ports = {"pc": 40001, "guest": 40001}
