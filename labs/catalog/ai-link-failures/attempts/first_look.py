# attempt: looks at the table, suspects the wrong column, and stops
# earns: look=3
# answer: look
rate = links["failed"].sum() / len(links)
missing = {"load": int(links["load"].isna().sum()), "temperature": int(links["temperature"].isna().sum()), "vendor": int(links["vendor"].isna().sum())}
future = "errors"
