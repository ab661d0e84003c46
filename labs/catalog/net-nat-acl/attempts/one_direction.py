# attempt: gives the web server its address for the way in only
# earns: static=0
# rest: solution
# answer: static
r.run(f"nft insert rule ip nat into ip daddr {SECOND} dnat to {WEB}")
