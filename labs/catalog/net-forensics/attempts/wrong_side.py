# attempt: takes the side that asks for the port of the server
# earns: read=4
# rest: solution
# answer: read
with srv.capture("eth0", file="bench.pcap"):
    talk()
pings = fields("bench.pcap", "icmp.type == 8", "frame.number")
opens = fields("bench.pcap", "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.srcport")
seen = {"pings": len(pings), "first_ping": int(pings[0][0]), "open_port": int(opens[0][0]), "closed_port": int(opens[1][0])}
