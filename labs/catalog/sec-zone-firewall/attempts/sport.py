# attempt: opens the way back for packets from port 80 in place of asking for the state
# earns: state=4
# rest: solution
# answer: state
fw.run("nft -f -", text="""
flush ruleset
table inet fw {
    chain forward {
        type filter hook forward priority 0; policy drop;
        iifname inside oifname outside tcp dport { 80, 443 } accept
        iifname outside oifname inside tcp sport { 80, 443 } accept
    }
}
""")
