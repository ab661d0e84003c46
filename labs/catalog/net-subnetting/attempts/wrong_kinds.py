# attempt: prints instead of returning, crashes, and gives lists where dictionaries belong
# earns: read=0 size=0 vlsm=0 find=0 mend=0 summary=0 lookup=0 own=0
# answer: read
reading = ["172.20.64.0", "172.20.79.255", "172.20.64.1", "172.20.79.254", 4094]
# answer: size
def smallest_prefix(hosts):
    print(26)
# answer: vlsm
plan = {"Labs": 23, "Wi-Fi": None, "Office": ["10.20.11.0/25"]}
# answer: find
overlaps = [row["name"] for row in branch]
# answer: mend
%%bash
mkdir mended.csv
# answer: summary
summary = "10.40.16.0/21 10.40.24.0/23"
# answer: lookup
def next_hop(table, destination):
    return table[destination]
# answer: own
my_plan = my_block
