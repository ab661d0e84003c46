# attempt: types default routes on every router in place of announcing one
# earns: default=2 branch=4.5
# rest: solution
# answer: default
r3.vtysh("configure terminal\nip route 0.0.0.0/0 203.0.113.1")
r1.vtysh("configure terminal\nip route 0.0.0.0/0 10.0.12.2")
r2.vtysh("configure terminal\nip route 0.0.0.0/0 10.0.23.2")
