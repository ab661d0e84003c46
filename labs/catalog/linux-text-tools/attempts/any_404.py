# attempt: counts every line that has 404 in it, and sums the wrong column
# earns: count=0 bytes=0
# rest: solution
# answer: count
missing = "grep -c 404"
# answer: bytes
volume = "awk '{s[$8] += $9} END {for (x in s) print x, s[x]}' | sort"
