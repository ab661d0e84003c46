# attempt: configures the second listener and loses passwords and access list
# earns: tls=3
# rest: solution
# answer: tls
configure(["allow_anonymous true", f"listener {TLS_PORT} 127.0.0.1", "certfile server.crt", "keyfile server.key"])
