# attempt: gets the two hosts to talk by static routes
# earns: repair=0
# rest: solution
# answer: repair
a.run("ip route add 192.0.2.128/25 via 10.5.1.2")
b.run("ip route replace 192.0.2.0/25 via 10.5.1.1; ip route replace 192.0.2.128/25 via 10.5.2.2")
c.run("ip route replace 192.0.2.0/25 via 10.5.2.1")
