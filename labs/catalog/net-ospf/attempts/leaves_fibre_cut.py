# attempt: looks too early, and forgets to mend the fibre
# earns: failover=1
# rest: solution
# answer: failover
fibre = net.link_between("r1", "r2")
fibre.down()
until(lambda: h1.ping("192.168.3.10", wait_s=0.3))
during = h1.path_to("192.168.3.10")
after = list(during)
