# attempt: gives the group what only others should have, and stops mending half-way, with nothing harmed
# earns: read=0 team=3 mend=5.1429
# rest: solution
# answer: read
numbers = {"note.txt": "rw-r-----"}
can = ["list box"]
# answer: team
%%bash
chmod 2770 ~/permissions-lab/team
# answer: mend
%%bash
cd ~/permissions-lab/site || exit 1
chmod 755 img bin/*.sh
chmod 600 conf/tls.key
chmod g-w conf/main.conf
