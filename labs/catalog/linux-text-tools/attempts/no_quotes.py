# attempt: splits names at spaces
# earns: find=0 script=2 repair=2
# rest: solution
# answer: find
amount = "cat $(find . -type f -name '*.log') | wc -c"
# answer: script
collect = r"""
if [ ! -d "$1" ]; then echo "no folder" >&2; exit 2; fi
mkdir -p $1/done
n=0
for f in $(ls $1/*.txt 2>/dev/null); do
  mv $f $1/done/ && n=$((n + 1))
done
echo $n
"""
# answer: repair
mended = r"""
total=0
for name in $(ls *.csv); do
  lines=$(wc -l < $name)
  echo $name: $lines
  total=$((total + lines))
done
echo total: $total
"""
