# attempt: closes the files and leaves the views, and limits the wrong thing
# earns: repair=2 limits=0
# rest: solution
# answer: limits
modest = UNSHARE + "; ulimit -t 2; ulimit -v 200000; ulimit -n 40"
# answer: repair
tight = LEAKY.replace('mkdir -p tmp/data; mount --bind "$HOST" tmp/data', "")
if "umount" not in tight:
    tight = tight.replace("exec /bin/sh", "/bin/umount -l /old\nexec /bin/sh")
