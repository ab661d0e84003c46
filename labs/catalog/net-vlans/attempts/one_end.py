# attempt: configures the trunk on sw1 only, and goes no further
# earns: flat=3 access=5 trunk=0
# answer: flat
heard = hear(net, "office1")
separated = False
# answer: access
for switch in (sw1, sw2):
    switch.run(f"bridge vlan add dev p1 vid {OFFICE} pvid untagged; bridge vlan del dev p1 vid 1")
    switch.run(f"bridge vlan add dev p2 vid {LAB} pvid untagged; bridge vlan del dev p2 vid 1")
# answer: trunk
sw1.run(f"bridge vlan add dev trunk vid {OFFICE}; bridge vlan add dev trunk vid {LAB}; bridge vlan del dev trunk vid 1")
