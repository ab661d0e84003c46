# attempt: takes the umask for the mode that files get, and forgets that directories need x
# earns: chmod=4 umask=0
# rest: solution
# answer: chmod
%%bash
cd office
chmod 640 report.txt
chmod 755 run.sh
chmod 700 private
chmod 700 drop
# answer: umask
%%bash
cd office
rm -rf fresh fresh.txt
umask 640
touch fresh.txt
mkdir fresh
umask > umask.txt
