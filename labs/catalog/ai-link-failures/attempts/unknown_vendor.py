# attempt: forgets that a vendor may be new
# earns: pipeline=5.5
# rest: solution
# answer: pipeline
def build():
    columns = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "load", "temperature", "errors"]),
            ("w", make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), OneHotEncoder()), ["vendor"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))
