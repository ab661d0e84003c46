# attempt: accepts all ICMP on the machine that drops the message; on the branch's router accepts the port above the wrong rule
# earns: sites-mend=5 branch-mend=4
# rest: solution
# answer: sites-mend
for name, chain in (("r1", "forward"), ("r2", "output"), ("hq", "input")):
    if "destination-unreachable" not in sites[name].run("nft list ruleset"):
        sites[name].run(f"nft insert rule inet guard {chain} ip protocol icmp accept")
# answer: branch-mend
for name in ("r1", "r2", "r3"):
    branch[name].run("nft insert rule inet guard forward tcp dport { 80, 443, 8443 } accept")
