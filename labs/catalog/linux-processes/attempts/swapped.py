# attempt: swaps minutes and hours, and forgets the minutes
# earns: cron=2.5
# rest: solution
# answer: cron
backup = f"{HOUR} {MINUTE} * * *"
check_line = "*/15 8-17 * * 1-5"
invoice = f"* {HOUR} {DAY} 1,4,7,10 *"
