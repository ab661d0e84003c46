# attempt: lets the router write a smaller segment size into TCP, and the message is still lost
# earns: sites-mend=3
# rest: solution
# answer: sites-mend
r1.run("nft -f -", text="""
table inet clamp {
    chain forward {
        type filter hook forward priority -10; policy accept;
        tcp flags syn tcp option maxseg size set 1200
    }
}
""")
