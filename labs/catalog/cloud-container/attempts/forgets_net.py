# attempt: forgets the network and the messages, and sees the processes of the machine
# earns: alone=4.6667
# rest: solution
# answer: alone
alone = "unshare --user --map-root-user --uts --pid --fork --mount-proc sh -c 'hostname $BOX; exec sh $TASK'"
