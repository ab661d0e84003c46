# attempt: calculates one number and forgets the function
# earns: hosts=0
# answer: hosts
hosts = 2 ** (32 - 26) - 2
