# attempt: writes the list first, and then revokes
# earns: revoke=0
# rest: solution
# answer: revoke
sh("openssl ca -config ca.cnf -gencrl -out issuing.crl; openssl ca -config ca.cnf -revoke laptop.crt")
