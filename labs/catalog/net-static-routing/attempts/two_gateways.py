# attempt: forgets the third host, and thinks that the host is switched off
# earns: gateway=2.6666 watch=1
# answer: gateway
a.run(f"ip route replace default via {ROOM[1]}")
b.run("ip route replace default via 192.168.2.1")
# answer: watch
arrives = False
answers = False
dropped_at = "r2"
