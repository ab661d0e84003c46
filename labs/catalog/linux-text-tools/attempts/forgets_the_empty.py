# attempt: forgets the folder without files, and says what is wrong on standard output
# earns: script=4 repair=3.5
# rest: solution
# answer: script
collect = r"""
if [ ! -d "$1" ]; then echo "no folder"; exit 2; fi
mkdir -p "$1/done"
n=0
for f in "$1"/*.txt; do
  mv -- "$f" "$1/done/"
  n=$((n + 1))
done
echo "$n"
"""
# answer: repair
mended = r"""
total=0
for name in *.csv; do
  lines=$(wc -l < "$name")
  echo "$name: $lines"
  total=$((total + lines))
done
echo "total: $total"
"""
