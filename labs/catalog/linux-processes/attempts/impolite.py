# attempt: a service without HUP that leaves its file behind, and a wrong parent
# earns: polite=3 look=3.5 limits=2
# rest: solution
# answer: polite
service = r"""
trap 'echo bye >> ticks; exit 0' TERM
trap '' HUP
echo $$ > service.pid
while true; do echo tick >> ticks; sleep 0.1; done
"""
# answer: look
children = [int(line) for line in sh(f"pgrep -P {PORTER.pid}").split()]
parent = PORTER.pid
what = "porter"
# answer: limits
modest = "nice -n 15 bash work.sh; ulimit -n 50; ulimit -t 2"
