# attempt: serves the server's certificate without the intermediate
# earns: serve=0 mutual=0 repair=3
# rest: solution
# answer: serve
sh("cp server.crt chain.crt")
web = serve("chain.crt", "server.key", more="ssl_protocols TLSv1.2 TLSv1.3;")
