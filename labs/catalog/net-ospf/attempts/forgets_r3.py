# attempt: configures r1 and r2 and forgets r3
# earns: neighbours=1
# answer: neighbours
for number, router in ((1, r1), (2, r2)):
    router.vtysh(f"""
    configure terminal
    router ospf
     ospf router-id {number}.{number}.{number}.{number}
     network 10.0.0.0/16 area 0
    """)
