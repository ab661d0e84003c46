# attempt: gives names their addresses by address=, with no way back
# earns: names=3.75
# rest: solution
# answer: names
serve(srv, "zone", f"""
domain={ZONE}
address=/gw.{ZONE}/{OFFICE[1]}
address=/srv.{ZONE}/{SRV}
address=/mail.{ZONE}/{OFFICE[3]}
address=/www.{ZONE}/{SRV}
mx-host={ZONE},mail.{ZONE},10
""")
