# attempt: writes the policy and nothing more
# earns: drop=4
# answer: drop
fw.run("nft -f -", text="""
flush ruleset
table inet fw {
    chain forward { type filter hook forward priority 0; policy drop; }
}
""")
