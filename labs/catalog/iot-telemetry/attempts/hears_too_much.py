# attempt: takes # for any one word, and lets every sensor write everywhere
# earns: topics=0 acl=0 tls=3
# rest: solution
# answer: topics
temperatures = f"{SITE}/#/temperature"
fridge = f"{SITE}/fridge/+"
everything = "#"
# answer: acl
(broker.folder / "acl").write_text(f"user gateway\ntopic read {SITE}/#\n\npattern readwrite {SITE}/#\n")
configure(["password_file passwords", "allow_anonymous false", "acl_file acl"])
