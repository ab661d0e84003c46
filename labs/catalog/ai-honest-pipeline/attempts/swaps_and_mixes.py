# attempt: swaps precision and recall, divides by zero, and examines by accuracy with links mixed
# earns: judge=0.6 validate=0
# rest: solution
# answer: judge
def judge(truth, alarms):
    hits = np.sum((truth == 1) & (alarms == 1))
    return {
        "accuracy": np.mean(truth == alarms),
        "precision": hits / np.sum(truth == 1),
        "recall": hits / np.sum(alarms == 1),
    }
# answer: validate
def honest_scores(model, records, truth, links):
    return cross_val_score(model, records, truth, cv=KFold(5, shuffle=True))
