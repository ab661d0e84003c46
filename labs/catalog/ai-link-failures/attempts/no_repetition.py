# attempt: draws half of the rows without repetition, and thinks that recall is accuracy
# earns: interval=2 baseline=0
# rest: solution
# answer: interval
def interval(truth, chance, seed=0):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(300):
        rows = rng.choice(len(truth), len(truth) // 8 or 1, replace=False)
        if 0 < truth[rows].mean() < 1:
            values.append(roc_auc_score(truth[rows], chance[rows]))
    return tuple(np.percentile(values, [2.5, 97.5])) if values else (0, 1)
# answer: baseline
def lazy(truth):
    return float(np.mean(truth)), float(np.mean(truth))
