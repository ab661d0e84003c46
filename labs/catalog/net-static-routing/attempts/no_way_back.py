# attempt: gives the hosts their gateways and sets the routes in one direction only
# earns: gateway=4 static=0
# answer: gateway
a.run(f"ip route replace default via {ROOM[1]}")
b.run("ip route replace default via 192.168.2.1")
c.run("ip route replace default via 192.168.3.1")
# answer: static
r1.run("ip route replace 192.168.2.0/24 via 10.0.12.2")
