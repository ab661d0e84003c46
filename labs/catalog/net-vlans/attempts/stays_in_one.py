# attempt: adds the ports to their VLANs and leaves them in VLAN 1
# earns: access=2 trunk=1.5
# rest: solution
# answer: access
for switch in (sw1, sw2):
    switch.run(f"bridge vlan add dev p1 vid {OFFICE} pvid untagged; bridge vlan add dev p2 vid {LAB} pvid untagged")
# answer: trunk
for switch in (sw1, sw2):
    switch.run(f"bridge vlan add dev trunk vid {OFFICE}; bridge vlan add dev trunk vid {LAB}")
