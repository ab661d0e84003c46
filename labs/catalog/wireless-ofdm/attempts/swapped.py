# attempt: takes the first bit for the imaginary part
# earns: qpsk=0 noise=0
# rest: untouched
# answer: qpsk
def points_of(bits):
    return ((1 - 2 * bits[1::2]) + 1j * (1 - 2 * bits[0::2])) / np.sqrt(2)
# answer: noise
def error_rate(snr_db):
    sent = random_bits(200_000)
    points = points_of(sent)
    return np.mean(bits_of(points + noise(len(points), 10 ** (-snr_db / 10))) != sent)
