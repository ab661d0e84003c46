# attempt: tells success from failure and knows nothing of signals
# earns: look=2 status=2
# answer: look
children = [PORTER.pid, os.getpid()]
parent = os.getpid()
what = "bash"
# answer: status
def outcome(command):
    code = subprocess.run(["bash", "-c", command], capture_output=True).returncode
    return "success" if code == 0 else f"failure {code}"
