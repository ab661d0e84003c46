# attempt: makes it work with 777 everywhere
# earns: chmod=0 umask=0 team=0 acl=0 mend=0
# rest: solution
# answer: chmod
%%bash
chmod -R 777 office
# answer: umask
%%bash
cd office
rm -rf fresh fresh.txt
umask 000
touch fresh.txt
mkdir fresh
umask > umask.txt
# answer: team
%%bash
chmod 777 team
# answer: acl
%%bash
chmod 777 results results/old.csv
# answer: mend
%%bash
chmod -R 777 site
