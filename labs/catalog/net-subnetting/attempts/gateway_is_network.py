# attempt: gives the network address to the gateway
# earns: mend=3 own=4
# rest: solution
# answer: mend
%%writefile mended.csv
name,prefix,gateway,hosts
Office,10.61.0.0/25,10.61.0.1,90
Voice,10.61.0.128/26,10.61.0.129,50
Printers,10.61.0.192/27,10.61.0.192,25
Cameras,10.61.3.64/28,10.61.3.64,12
Lab-1,10.61.1.0/24,10.61.1.1,200
Lab-2,10.61.3.0/26,10.61.3.0,40
Library,10.61.2.0/25,10.61.2.0,100
Wi-Fi,10.61.2.128/25,10.61.2.129,120
# answer: own
my_plan = {}
my_gateways = {}
start = int(my_block.network_address)
for group, hosts in sorted(my_needs.items(), key=lambda item: -item[1]):
    net = ipaddress.ip_network((start, smallest_prefix(hosts)))
    my_plan[group] = str(net)
    my_gateways[group] = str(net.network_address)
    start += net.num_addresses
