# attempt: looks at the rules and the interfaces, records nothing, and guesses the rest
# earns: sites=3 branch=4
# rest: solution
# answer: sites
drops = next(name for name in GUARDS if "destination-unreachable" not in sites[name].run("nft list ruleset"))
hole = {"mtu": hq.interfaces()["eth0"]["mtu"], "speaker": "r3", "drops": drops}
# answer: branch
who, port = next(one for one, answer in branch_asks().items() if one[1] in SERVICES and answer == "refused")
router = next(name for name in REFUSED if branch[name].run("nft list ruleset").count("reject") == 2)
reset = {"host": who, "port": port, "ttl": 61, "sender": router}
