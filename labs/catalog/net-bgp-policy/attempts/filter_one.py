# attempt: filters what goes to one provider only, and believes the other one
# earns: transit=3 bogus=0
# rest: solution
# answer: transit
me.vtysh(f"""
configure terminal
ip prefix-list OWN permit {PREFIX}
router bgp {AS}
 address-family ipv4 unicast
  neighbor 10.0.2.1 prefix-list OWN out
end
clear bgp * soft
""")
# answer: bogus
me.vtysh(f"""
configure terminal
ip prefix-list TRUE deny 10.0.0.0/8 le 32
ip prefix-list TRUE deny 192.168.0.0/16 le 32
ip prefix-list TRUE deny {PREFIX} le 32
ip prefix-list TRUE permit 0.0.0.0/0 le 32
router bgp {AS}
 address-family ipv4 unicast
  neighbor 10.0.2.1 prefix-list TRUE in
end
clear bgp * soft
""")
