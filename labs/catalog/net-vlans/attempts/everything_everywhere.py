# attempt: lets every trunk of the building carry every VLAN, and mends the ports of the teachers only
# earns: repair=2
# rest: solution
# answer: repair
for switch in (east, west):
    switch.run("bridge vlan add dev trunk vid 2-99; bridge vlan add dev p1 vid 10 pvid untagged")
    switch.run("bridge vlan del dev p1 vid 1", check=False)
    switch.run("bridge vlan add dev p2 vid 99 pvid untagged")
