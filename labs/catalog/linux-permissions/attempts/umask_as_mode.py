# attempt: takes the umask for the mode that files get, sets digits on all photos alike, forgets x on a directory
# earns: read=3 chmod=4.5 dirs=1 umask=0
# rest: solution
# answer: read
numbers = {"note.txt": "640", "tool.sh": "0751", "plans": 710}
can = {
    "read shut.txt": True,
    "write locked.txt": True,
    "list box": True,
    "read box/letter.txt": False,
    "list hall": False,
    "read hall/letter.txt": True,
}
# answer: chmod
%%bash
cd ~/permissions-lab/office || exit 1
chmod 640 report.txt
chmod 755 run.sh
chmod -R 755 photos
# answer: dirs
%%bash
cd ~/permissions-lab/rooms || exit 1
chmod 700 private
chmod 744 drop
chmod 555 archive
chmod 444 archive/2023.txt
# answer: umask
%%bash
cd ~/permissions-lab/projects || exit 1
umask 600
touch mine.txt
mkdir mine
umask 640
touch readers.txt
mkdir readers
umask 660
touch writers.txt
mkdir writers
