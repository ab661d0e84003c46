# attempt: sets the cost on r1 only, so that the way back still takes the radio link
# earns: cost=3.5
# rest: solution
# answer: cost
r1.vtysh("""
configure terminal
interface to-r3
 ip ospf cost 100
""")
