# attempt: types the address in at the printer, where the next lease takes it away
# earns: printer=0
# rest: solution
# answer: printer
printer.run(f"ip addr flush dev eth0; ip addr add {OFFICE[20]}/24 dev eth0")
