# attempt: makes the password file anew for each user, so that only the last one is in it
# earns: locks=2 acl=0 tls=3
# rest: solution
# answer: locks
for user, password in PASSWORDS.items():
    sh(f"mosquitto_passwd -c -b passwords {user} {password}")
configure(["allow_anonymous false", "password_file passwords"])
