# attempt: gives the hosts a smaller MTU
# earns: sites-mend=3
# rest: solution
# answer: sites-mend
for name in ("hq", "desk", "plant"):
    sites[name].run("ip link set dev eth0 mtu 1200")
