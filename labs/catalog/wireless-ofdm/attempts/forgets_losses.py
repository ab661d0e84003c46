# attempt: counts one antenna and no cable, and leaves the margin out
# earns: budget=2 range=0
# rest: solution
# answer: budget
def path_loss(metres, hertz):
    return 20 * math.log10(metres * hertz) - 147.55


def received(dbm, metres, hertz, gain, loss):
    return dbm + gain - path_loss(metres, hertz)
# answer: range
NOISE_DBM = -174 + 10 * math.log10(20e6) + 7


def reach(snr_db, dbm, hertz, gain, loss):
    return 10 ** ((dbm + gain - NOISE_DBM - snr_db + 147.55 - 20 * math.log10(hertz)) / 20)


slow = reach(8, 20, 2.4e9, GAIN, LOSS)
fast = reach(30, 20, 2.4e9, GAIN, LOSS)
