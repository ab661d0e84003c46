# attempt: asks clients for a certificate and lets in those without one
# earns: mutual=4
# rest: solution
# answer: mutual
(PKI / "laptop.ext").write_text(
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)
sh(
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout laptop.key -out laptop.csr -subj /CN=laptop;"
    "openssl x509 -req -in laptop.csr -CA issuing.crt -CAkey issuing.key -CAcreateserial -days 90 -extfile laptop.ext -out laptop.crt;"
    "cat issuing.crt root.crt > clients.crt"
)
web = serve("chain.crt", "server.key", more=f"ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client optional_no_ca; ssl_verify_depth 2; ssl_client_certificate {PKI}/clients.crt;")
