# attempt: draws records instead of links, so that the exam has links that the model knows
# earns: split=1 promise=3
# rest: solution
# answer: split
from sklearn.model_selection import train_test_split

train, test = train_test_split(history, test_size=0.25, random_state=0)
# answer: promise
def interval(truth, probabilities, links):
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(200):
        drawn = rng.choice(np.unique(links), len(np.unique(links)))
        places = np.concatenate([np.flatnonzero(links == name) for name in drawn])
        scores.append(average_precision_score(truth[places], probabilities[places]))
    return np.quantile(scores, [0.05, 0.95])


said = model.predict_proba(test[features])[:, 1]
low, high = interval(test["failed"].to_numpy(), said, test["link"].to_numpy())
promise = {"score": average_precision_score(test["failed"], said), "low": low, "high": high}
