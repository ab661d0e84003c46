# attempt: believes what a packet says of its sender
# earns: branch=4 office=3
# rest: solution
# answer: office
with office["pc"].capture("eth0", file="office.pcap"):
    for turn in range(2):
        for name in ("pc", "till"):
            office[name].run("ip neigh flush all", check=False)
        office_asks()
# takes the machine of the inventory for the intruder
old = office_faults[0].name.partition(" as ")[2]
twin = {"address": ADDRESS[old], "intruder": mac_of(old), "plug": f"p{plugs.index(old) + 1}", "lost": "pc" if office_faults[1].name == "till" else "till"}
# answer: branch
said = branch_asks()
who, port = next(one for one, answer in said.items() if one[1] in SERVICES and answer == "refused")
with branch[who].capture("eth0", file="branch.pcap"):
    for each in SERVICES:
        knock(branch[who], SHOP, each)
ttl = int(fields("branch.pcap", f"ip.src == {SHOP} && tcp.flags.reset == 1 && tcp.srcport == {port}", "ip.ttl")[0][0])
reset = {"host": who, "port": port, "ttl": ttl, "sender": "shop"}
