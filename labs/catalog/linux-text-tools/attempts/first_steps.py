# attempt: solves the first two, writes the names the wrong way round, and stops
# earns: count=4 top=5 logins=0
# answer: count
missing = r"""grep -c '" 404 '"""
# answer: top
top = "awk '{n[$1]++} END {for (h in n) print h, n[h]}' | sort -k2,2nr -k1,1 | head -n 3"
# answer: logins
logins = "sed 's/, */./; s/;.*//' | tr A-Z a-z | sort -u"
