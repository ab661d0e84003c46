# attempt: makes the router a server of its own instead of a relay
# earns: relay=4
# rest: solution
# answer: relay
serve(r, "library", f"""
port=0
dhcp-range={LIBRARY[20]},{LIBRARY[59]},{HOURS}h
dhcp-option=option:router,{LIBRARY[1]}
dhcp-option=option:dns-server,{SRV}
""")
