# attempt: translates everything, whatever the interface
# earns: masquerade=3 forward=3
# rest: solution
# answer: masquerade
r.run("nft -f -", text="""
flush ruleset
table ip nat { chain out { type nat hook postrouting priority 100; masquerade; }; }
""")
# answer: forward
r.run("nft -f -", text=f"""
flush ruleset
table ip nat {{
    chain out {{ type nat hook postrouting priority 100; masquerade; }}
    chain in {{ type nat hook prerouting priority -100; iifname outside tcp dport {DOOR} dnat to {WEB}:8080; }}
}}
""")
