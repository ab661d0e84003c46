# attempt: takes all ACLs away and sets the whole tree with one recursive chmod; the list of a file is not looked at
# earns: acl=8 mend=6
# rest: solution
# answer: acl
%%bash
cd ~/permissions-lab/results || exit 1
setfacl -m u:daemon:rx,u:www-data:x,u:mail:x .
setfacl -m u:daemon:r,u:www-data:rw old.csv
chmod g+w shared.csv
setfacl -d -m u:daemon:r .
touch for-mail.txt
setfacl -m u:mail:r for-mail.txt
# answer: mend
%%bash
cd ~/permissions-lab/site || exit 1
setfacl -Rb .
chmod -R u=rwX,go=rX .
chmod 755 img bin/*
chmod 600 conf/tls.key
chmod 640 conf/main.conf
chmod 770 upload
