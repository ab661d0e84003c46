# attempt: gets the second campus to work with routes for single hosts
# earns: repair=2
# rest: solution
# answer: repair
other["w2"].run("ip addr flush dev eth0; ip addr add 10.1.2.10/24 dev eth0; ip neigh flush all")
west.run("ip addr flush dev two; ip addr add 10.1.2.1/24 dev two; ip route add 10.2.1.10/32 via 10.9.0.2")
other["w2"].run("ip route replace default via 10.1.2.1")
east.run("ip route add 10.1.1.10/32 via 10.9.0.1; ip route add 10.1.2.10/32 via 10.9.0.1")
