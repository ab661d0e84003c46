# attempt: makes both ways longer
# earns: inbound=3
# rest: solution
# answer: inbound
me.vtysh(f"""
configure terminal
route-map LONGER permit 10
 set as-path prepend {AS} {AS}
router bgp {AS}
 address-family ipv4 unicast
  neighbor 10.0.2.1 route-map LONGER out
  neighbor 10.0.1.1 route-map LONGER out
end
clear bgp * soft
""")
