# attempt: sets the default routes and lets what does not exist run in a circle
# earns: default=2
# rest: solution
# answer: default
r1.run("ip route replace default via 10.0.12.2")
r2.run("ip route replace default via 10.0.23.2")
r3.run("ip route replace default via 203.0.113.1")
