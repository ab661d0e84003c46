# attempt: announces the rooms and forgets that they are to be quiet
# earns: lans=3
# rest: solution
# answer: lans
for router in (r1, r2, r3):
    router.vtysh("""
    configure terminal
    router ospf
     network 192.168.0.0/16 area 0
    """)
