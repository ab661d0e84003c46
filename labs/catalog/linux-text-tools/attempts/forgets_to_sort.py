# attempt: counts neighbours because it does not sort before uniq, and lets large sums become powers of ten
# earns: top=0 bytes=2
# rest: solution
# answer: top
top = "cut -d' ' -f1 | uniq -c | sort -nr | head -3 | awk '{print $2, $1}'"
# answer: bytes
volume = "awk '{s[$(NF-1)] += $NF} END {for (x in s) print x, s[x]}' | sort"
