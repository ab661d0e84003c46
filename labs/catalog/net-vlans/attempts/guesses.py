# attempt: believes that other addresses are enough, and writes the number of the wrong VLAN
# earns: flat=1 tag=0
# rest: solution
# answer: flat
heard = ["office2"]
separated = True
# answer: tag
frame = "10.1.2.11 > 10.1.2.12: ICMP echo request"
tag = OFFICE
