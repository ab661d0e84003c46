# attempt: takes the strongest signal for everything
# earns: signals=2 repair=0
# rest: solution
# answer: signals
sh(f"kill -KILL {NUMBERS['one']}; kill -CONT {NUMBERS['two']}; kill -KILL {NUMBERS['three']}")
# answer: repair
for helper in HELPERS.values():
    helper.stop()
sh("pkill -KILL -f cruncher")
