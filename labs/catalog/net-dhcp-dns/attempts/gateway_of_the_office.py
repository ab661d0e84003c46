# attempt: forgets that the library has another gateway; forwards every name there is
# earns: relay=4 forward=3
# rest: solution
# answer: relay
serve(srv, "library", f"dhcp-range={LIBRARY[20]},{LIBRARY[59]},255.255.255.0,{HOURS}h")
serve(r, "relay", f"port=0\ndhcp-relay={LIBRARY[1]},{SRV}")
# answer: forward
serve(srv, "forward", f"server={WORLD}")
