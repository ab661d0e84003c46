# attempt: blocks the one address without a list, and opens the other school to everybody
# earns: block=2 repair=2
# rest: solution
# answer: block
fw.run(f"nft insert rule inet fw forward ip saddr {BAD} drop")
# answer: repair
gate.run("nft flush ruleset")
