# attempt: gets the school's rooms to reach each other by static routes
# earns: repair=2
# rest: solution
# answer: repair
a.run("ip route replace 192.168.20.0/24 via 10.1.0.2")
b.run("ip route replace 192.168.20.0/24 via 10.2.0.2; ip route replace 192.168.10.0/24 via 10.1.0.1")
c.run("ip route replace 192.168.10.0/24 via 10.2.0.1")
