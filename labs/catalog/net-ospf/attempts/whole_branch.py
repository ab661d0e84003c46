# attempt: gives the branch a prefix that is far too large, and reads the wrong numbers
# earns: branch=4 read=2.5
# rest: solution
# answer: read
known = {"next_hop": "10.0.13.2", "distance": 20, "metric": 110, "ospf_routes": 3}
# answer: branch
r4.vtysh(f"""
configure terminal
interface room
 ip address {branch_room[1]}/20
exit
router ospf
 ospf router-id 4.4.4.4
 passive-interface room
 network 10.0.24.0/30 area 0
 network 172.16.0.0/12 area 0
""")
