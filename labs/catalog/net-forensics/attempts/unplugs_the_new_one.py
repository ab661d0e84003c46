# attempt: takes the new machine off the network, and leaves the wrong mask with a route around it
# earns: office-mend=2
# rest: solution
# answer: office-mend
new = office_faults[0].name.partition(" as ")[0]
office[new].run("ip link set dev eth0 down")
office[office_faults[1].name].run(f"ip route add {STORE}/32 via {GATEWAY}")
