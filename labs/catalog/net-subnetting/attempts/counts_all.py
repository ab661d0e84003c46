# attempt: counts network and broadcast addresses as hosts
# earns: read=3 size=2
# rest: solution
# answer: read
reading = {
    "network": "172.20.64.0",
    "broadcast": "172.20.79.255",
    "first": "172.20.64.0",
    "last": "172.20.79.255",
    "hosts": 4096,
}
# answer: size
def smallest_prefix(hosts):
    length = 30
    while 2 ** (32 - length) < hosts:
        length -= 1
    return length
