# attempt: one umask for files only, no further bits, an ACL for what is there without defaults and without the mask
# earns: umask=2 team=2 acl=6
# rest: solution
# answer: umask
%%bash
cd ~/permissions-lab/projects || exit 1
umask 077
touch mine.txt
mkdir mine
umask 026
touch readers.txt
mkdir readers
umask 006
touch writers.txt
mkdir writers
# answer: team
%%bash
chmod 770 ~/permissions-lab/team
# answer: acl
%%bash
cd ~/permissions-lab/results || exit 1
setfacl -m u:daemon:rx,u:www-data:x .
setfacl -m u:daemon:r,u:www-data:rw old.csv
touch for-games.txt
setfacl -m u:games:r,g::-,o::- for-games.txt
