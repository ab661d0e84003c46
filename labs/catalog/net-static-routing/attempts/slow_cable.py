# attempt: leaves the route to r3's room on the slow cable
# earns: longest=2 backup=0
# rest: solution
# answer: longest
r1.run("ip route replace 192.168.0.0/16 via 10.0.12.2")
r2.run("ip route replace 192.168.0.0/16 via 10.0.23.2")
r3.run(f"ip route replace {ROOM} via 10.0.23.1; ip route replace 192.168.2.0/24 via 10.0.23.1")
# answer: backup
r1.run("ip route replace default via 10.0.13.2 metric 100")
