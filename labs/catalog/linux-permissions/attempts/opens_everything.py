# attempt: makes it work with 777 everywhere
# earns: chmod=1 dirs=0 umask=0 team=0 acl=1 mend=2
# rest: untouched
# answer: chmod
%%bash
chmod -R 777 ~/permissions-lab/office
# answer: dirs
%%bash
chmod -R 777 ~/permissions-lab/rooms
# answer: umask
%%bash
cd ~/permissions-lab/projects || exit 1
umask 000
touch mine.txt readers.txt writers.txt
mkdir mine readers writers
# answer: team
%%bash
chmod 777 ~/permissions-lab/team
# answer: acl
%%bash
cd ~/permissions-lab/results || exit 1
chmod 777 . *
touch for-mail.txt
# answer: mend
%%bash
chmod -R 777 ~/permissions-lab/site
