# attempt: finds the rogue server and switches off all desks; mends only what machines are given
# earns: rogue=3 repair=3
# rest: solution
# answer: rogue
for _ in range(5):
    strange = {server: mac for server, mac in offers(laptop2).items() if server != RIGHT}
    if strange:
        break
(server, mac), = strange.items()
port = next(line.split()[2] for line in floor.run("bridge fdb show br br0").splitlines() if line.startswith(mac))
for each in ("p1", "p2", "p3", "p4"):
    floor.run(f"ip link set {each} down")
rogue = {"server": server, "mac": mac, "port": port}
# answer: repair
branch["srv"].run("ip route del unreachable 10.30.0.0/24", check=False)
serve(branch["srv"], "pool", "dhcp-range=10.20.0.100,10.20.0.149,1h\ndhcp-option=3,10.20.0.1\ndhcp-option=6,10.20.0.2")
serve(branch["srv"], "printer", f"dhcp-host={PRINTER_MAC},10.20.0.20,printer")
serve(branch["srv"], "library", "dhcp-range=set:b,10.30.0.50,10.30.0.99,255.255.255.0,1h\ndhcp-option=tag:b,3,10.30.0.1")
serve(branch["r"], "relay", "port=0\ndhcp-relay=10.30.0.1,10.20.0.2")
