# attempt: takes decibels of power for decibels of amplitude, and forgets √2
# earns: qpsk=0 noise=0
# rest: solution
# answer: qpsk
def points_of(bits):
    return (1 - 2 * bits[0::2]) + 1j * (1 - 2 * bits[1::2])
# answer: noise
def error_rate(snr_db):
    sent = random_bits(200_000)
    points = points_of(sent) / np.sqrt(2)
    return np.mean(bits_of(points + noise(len(points), 10 ** (-snr_db / 20))) != sent)
