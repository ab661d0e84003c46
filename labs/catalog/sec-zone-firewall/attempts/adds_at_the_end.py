# attempt: adds the rule against false senders, and that for the list, below the rules that accept
# earns: spoof=0 block=0
# rest: solution
# answer: spoof
fw.run(f"nft add rule inet fw forward iifname outside ip saddr '{{ {INSIDE}, 10.20.0.0/24, 10.30.0.0/24 }}' drop")
# answer: block
fw.run("nft add set inet fw blocked '{ type ipv4_addr; }'")
fw.run(f"nft add element inet fw blocked '{{ {BAD} }}'")
fw.run("nft add rule inet fw forward ip saddr @blocked drop")
