# attempt: takes every column but the name, also the hours of repair that are written a month later
# earns: pipeline=2 threshold=3.5
# rest: solution
# answer: pipeline
features = ["age_years", "length_km", "errors", "temperature", "load", "repair_hours", "medium"]
prepare = ColumnTransformer([
    ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), features[:-1]),
    ("w", OneHotEncoder(handle_unknown="ignore"), ["medium"]),
])
model = Pipeline([("prepare", prepare), ("model", LogisticRegression(max_iter=1000))])
model.fit(train[features], train["failed"])
