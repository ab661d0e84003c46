# attempt: keeps the order of the table, so that holes appear, and names every pair to be safe
# earns: find=0 own=5
# rest: solution
# answer: find
overlaps = [(one["name"], two["name"]) for one in branch for two in branch if one is not two]
# answer: own
my_plan = {}
my_gateways = {}
start = int(my_block.network_address)
for group, hosts in my_needs.items():
    size = 2 ** (32 - smallest_prefix(hosts))
    start = -(-start // size) * size
    net = ipaddress.ip_network((start, smallest_prefix(hosts)))
    my_plan[group] = str(net)
    my_gateways[group] = str(net[1])
    start += size
