# attempt: mends one of two faults in the office, and deletes the wrong one of two rules at the branch
# earns: office-mend=4 branch-mend=0
# rest: solution
# answer: office-mend
new = office_faults[0].name.partition(" as ")[0]
office[new].run(f"ip addr flush dev eth0; ip addr add {ADDRESS[new]}/24 dev eth0; ip route replace default via {GATEWAY}")
# answer: branch-mend
for name in ("r1", "r2", "r3"):
    lines = [line for line in branch[name].run("nft -a list chain inet guard forward").splitlines() if "reject" in line]
    if len(lines) == 2:
        branch[name].run(f"nft delete rule inet guard forward handle {lines[0].split()[-1]}")
