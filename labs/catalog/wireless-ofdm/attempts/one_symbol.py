# attempt: transforms everything at once, and corrects with the mean of the pilot
# earns: ofdm=3 equalise=0
# rest: solution
# answer: ofdm
def send(points):
    signal = np.fft.ifft(points) * 8
    return np.concatenate([signal[-16:], signal])


def receive(samples):
    return np.fft.fft(samples[16:]) / 8
# answer: equalise
def equalise(points, pilot):
    return points[64:] / np.mean(points[:64] / pilot)
