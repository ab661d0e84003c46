# attempt: sets the ACL of what is there, and forgets the default entry, setgid and sticky
# earns: team=2 acl=5
# rest: solution
# answer: team
%%bash
chmod 770 team
# answer: acl
%%bash
cd results
setfacl -m u:daemon:rx,u:www-data:x .
setfacl -m u:daemon:r,u:www-data:rw old.csv
