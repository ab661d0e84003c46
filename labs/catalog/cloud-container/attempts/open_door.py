# attempt: moves in and leaves the old root where it is
# earns: enter=5
# rest: solution
# answer: enter
enter = r"""
hostname $BOX
mount --bind $ROOT $ROOT
cd $ROOT
pivot_root . old
/bin/mount -t proc proc /proc
cd /
exec /bin/sh /task.sh
"""
