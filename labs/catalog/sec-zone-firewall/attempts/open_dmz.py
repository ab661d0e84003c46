# attempt: lets the servers go anywhere, and forgets the firewall itself
# earns: dmz=4.2857 manage=0
# rest: solution
# answer: dmz
fw.run("nft -f -", text=f"""
flush ruleset
table inet fw {{
    chain forward {{
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname inside oifname outside tcp dport {{ 80, 443 }} accept
        oifname dmz ip daddr {WEB} tcp dport {{ 80, 443 }} accept
        oifname dmz ip daddr {MAIL} tcp dport 25 accept
        iifname dmz accept
    }}
}}
""")
# answer: manage
fw.run("nft insert rule inet fw forward iifname manage tcp dport 22 accept")
