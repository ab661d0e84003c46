# attempt: a session without quality of service, and a message that is not kept
# earns: publish=2 away=0
# rest: solution
# answer: publish
def report(sender, room, value):
    sender.publish(f"{SITE}/{room}/temperature", json.dumps({"room": room, "value": value}), qos=1)
# answer: away
def gateway():
    made = client("gateway", clean=False)
    listen(made, f"{SITE}/+/temperature")
    return made
