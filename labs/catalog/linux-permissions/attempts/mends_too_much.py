# attempt: mends the tree with one recursive chmod, and does not see the ACL
# earns: read=3 mend=4
# rest: solution
# answer: read
numbers = {"rw-r-----": "640", "rwx--x--x": "711", "r--r--r--": "333"}
modes = {"755": "rwxr-xr-x", "620": "rw--w----", "501": "r-x-w---x"}
# answer: mend
%%bash
cd site
chmod -R u=rwX,g=rX,o=rX .
chmod 755 img bin/*
chmod 600 conf/tls.key
chmod 770 upload
