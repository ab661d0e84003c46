# attempt: gives addresses and forgets to say where the way out is
# earns: pool=5
# rest: solution
# answer: pool
serve(srv, "pool", f"dhcp-range={OFFICE[100]},{OFFICE[149]},{HOURS}h")
