# attempt: puts the name into the CN only
# earns: site=4.5 serve=0 mutual=0 repair=0
# rest: solution
# answer: site
(PKI / "server.ext").write_text(
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)
sh(
    f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj '/CN={NAME}';"
    "openssl x509 -req -in server.csr -CA issuing.crt -CAkey issuing.key -CAcreateserial -days 90 -extfile server.ext -out server.crt"
)
