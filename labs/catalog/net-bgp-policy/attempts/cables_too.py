# attempt: announces everything that is connected
# earns: announce=2
# rest: solution
# answer: announce
me.vtysh(f"""
configure terminal
router bgp {AS}
 address-family ipv4 unicast
  redistribute connected
""")
