# attempt: calculates means from the past only, and keeps the columns that know the future
# earns: repair=2
# rest: solution
# answer: repair
def colleague(past, later):
    columns = ["age_years", "length_km", "errors", "temperature", "load", "alarms", "visits", "remarks"]
    mean, spread = past[columns].mean(), past[columns].std()

    def ready(table):
        words = pd.DataFrame({one: (table["medium"] == one).astype(float) for one in ("fibre", "copper", "radio")})
        return pd.concat([(table[columns].fillna(mean) - mean) / spread, words], axis=1)

    learned = LogisticRegression(max_iter=1000).fit(ready(past), past["failed"])
    return learned.predict_proba(ready(later))[:, 1]
