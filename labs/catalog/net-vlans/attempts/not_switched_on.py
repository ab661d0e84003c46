# attempt: gives the guests' subinterface an address and forgets to switch it on
# earns: guests=3
# rest: solution
# answer: guests
sw2.run(f"bridge vlan add dev p3 vid {GUESTS} pvid untagged; bridge vlan del dev p3 vid 1; bridge vlan add dev trunk vid {GUESTS}")
sw1.run(f"bridge vlan add dev trunk vid {GUESTS}; bridge vlan add dev up vid {GUESTS}")
r1.run(f"ip link add link eth0 name eth0.{GUESTS} type vlan id {GUESTS}; ip addr add 10.1.3.1/24 dev eth0.{GUESTS}")
