# attempt: repeats the beginning of a symbol instead of its end
# earns: ofdm=4.5 repair=2
# rest: solution
# answer: ofdm
def send(points):
    symbols = np.fft.ifft(points.reshape(-1, 64), axis=1) * 8
    return np.hstack([symbols[:, :16], symbols]).ravel()


def receive(samples):
    return (np.fft.fft(samples.reshape(-1, 80)[:, 16:], axis=1) / 8).ravel()
# answer: repair
prefix = 40
share = 40 / 104
