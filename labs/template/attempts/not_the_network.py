# attempt: takes away the broadcast and keeps the address of the network
# earns: hosts=0
# answer: hosts
def hosts(prefix_length):
    return 2 ** (32 - prefix_length) - 1
