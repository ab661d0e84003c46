# attempt: connects to one provider, and confuses the number of the other
# earns: sessions=1 announce=5 exit=0
# answer: sessions
me.vtysh(f"configure terminal\nrouter bgp {AS}\nneighbor 10.0.1.1 remote-as 65010\nneighbor 10.0.2.1 remote-as 65200")
# answer: announce
me.vtysh(f"configure terminal\nrouter bgp {AS}\naddress-family ipv4 unicast\nnetwork {PREFIX}")
# answer: exit
me.vtysh(f"configure terminal\nroute-map A permit 10\nset local-preference 150\nrouter bgp {AS}\naddress-family ipv4 unicast\nneighbor 10.0.1.1 route-map A in\nend\nclear bgp * soft")
