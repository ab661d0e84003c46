# attempt: warns from one half on because that is what libraries do, and draws records in the bootstrap
# earns: threshold=2 promise=2 export=4
# rest: solution
# answer: threshold
def costs(truth, probabilities, threshold):
    total = 0
    for failed, probability in zip(truth, probabilities):
        if probability >= threshold:
            total += VISIT
        elif failed:
            total += OUTAGE
    return total


def best_threshold(truth, probabilities):
    return 0.5


told = cross_val_predict(model, train[features], train["failed"], method="predict_proba")[:, 1]
threshold = best_threshold(train["failed"], told)
# answer: promise
def interval(truth, probabilities, links):
    rng = np.random.default_rng()
    scores = []
    for _ in range(500):
        places = rng.integers(0, len(truth), len(truth))
        scores.append(average_precision_score(truth[places], probabilities[places]))
    return np.quantile(scores, 0.05), np.quantile(scores, 0.95)


said = model.predict_proba(test[features])[:, 1]
low, high = interval(test["failed"].to_numpy(), said, test["link"].to_numpy())
promise = {"score": average_precision_score(test["failed"], said), "low": low, "high": high}
# answer: export
converted = convert_sklearn(model, initial_types=onnx_types(features), options={"zipmap": False})
Path("model.onnx").write_bytes(converted.SerializeToString())
difference = 0.1 + np.mean(ask_onnx(open_onnx("model.onnx"), test) - model.predict_proba(test[features])[:, 1])
