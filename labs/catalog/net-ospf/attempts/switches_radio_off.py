# attempt: moves the traffic by switching the radio link off, so that nothing is left when the fibre is cut
# earns: cost=3.5 failover=1
# rest: solution
# answer: cost
r1.vtysh("""
configure terminal
interface to-r3
 shutdown
""")
# answer: failover
fibre = net.link_between("r1", "r2")
fibre.down()
time.sleep(1)
during = h1.path_to("192.168.3.10", most=4)
fibre.up()
until(lambda: r1.neighbours().get("2.2.2.2") == "Full")
until(lambda: "10.0.12.2" in h1.path_to("192.168.3.10", most=4), 5)
after = h1.path_to("192.168.3.10")
