# attempt: throws all three columns away, also the one that is known in time
# earns: repair=5
# rest: solution
# answer: repair
def colleague(past, later):
    columns = ["age_years", "length_km", "errors", "temperature", "load"]
    steps = ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(), StandardScaler()), columns),
        ("w", OneHotEncoder(handle_unknown="ignore"), ["medium"]),
    ])
    learned = make_pipeline(steps, LogisticRegression(max_iter=1000)).fit(past, past["failed"])
    return learned.predict_proba(later)[:, 1]
