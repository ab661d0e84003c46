# attempt: takes the order from memory and the source from the phone as it is afterwards
# earns: watch=2.5
# rest: solution
# answer: watch
got = lease(phone, tries=8)
seen = {
    "messages": ["Request", "Offer", "Discover", "ACK"],
    "source": got["address"],
    "server": got["server"],
    "address": got["address"],
    "seconds": got["seconds"],
}
