# attempt: forgets that two addresses of a subnet are not for hosts
# earns: hosts=0
# answer: hosts
def hosts(prefix_length):
    return 2 ** (32 - prefix_length)
