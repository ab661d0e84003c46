# attempt: writes the rules that drop above those that accept
# earns: acl=0 count=2
# rest: solution
# answer: acl
r.run("nft -f -", text=f"""
table inet acl {{
    chain forward {{
        type filter hook forward priority 0; policy accept;
        ct state established,related accept
        iifname guests ip daddr {STAFF} drop
        oifname outside tcp dport 25 drop
        iifname guests ip daddr {WEB} tcp dport 8080 accept
        ip saddr {WEB} tcp dport 25 accept
    }}
}}
""")
# answer: count
r.run("nft add counter inet acl spam")
r.run("nft insert rule inet acl forward oifname outside tcp dport 25 counter name spam")
