# attempt: leaves out the mask of the library, so that the tablet believes that everything with 10 in front is in its room
# earns: relay=4
# rest: solution
# answer: relay
serve(srv, "library", f"""
dhcp-range=set:library,{LIBRARY[20]},{LIBRARY[59]},{HOURS}h
dhcp-option=tag:library,option:router,{LIBRARY[1]}
""")
serve(r, "relay", f"port=0\ndhcp-relay={LIBRARY[1]},{SRV}")
