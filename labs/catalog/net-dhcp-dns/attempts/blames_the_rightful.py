# attempt: takes the rightful server for the rogue one, and does nothing more; makes the pool of the branch office smaller
# earns: rogue=1 repair=4.5
# rest: solution
# answer: rogue
rogue = {"server": RIGHT, "mac": rightful.interfaces()["eth0"]["mac"], "port": "up"}
# answer: repair
server = branch["srv"]
server.run("ip route flush type unreachable", check=False)
serve(server, "pool", "dhcp-range=10.20.0.100,10.20.0.148,1h\ndhcp-option=3,10.20.0.1\ndhcp-option=6,10.20.0.2")
serve(server, "printer", f"dhcp-host={PRINTER_MAC},10.20.0.20,printer")
serve(server, "library", "dhcp-range=set:b,10.30.0.50,10.30.0.99,255.255.255.0,1h\ndhcp-option=tag:b,3,10.30.0.1")
serve(server, "zone", """
domain=branch.example
local=/branch.example/
host-record=srv.branch.example,10.20.0.2
cname=www.branch.example,srv.branch.example
""")
serve(server, "forward", f"server={WORLD}")
serve(branch["r"], "relay", "port=0\ndhcp-relay=10.30.0.1,10.20.0.2")
