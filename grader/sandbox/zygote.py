"""Forks kernels that are ready to run, each into a jail of its own: a warm interpreter that never sees a submission.

    python3 -I zygote.py SPEC       SPEC: a file with a JSON object
        socket     path of the unix socket to listen on
        preload    modules to import before the first fork
        env        its environment, which what is preloaded sees
        jail       keys of jail.py that are the same for every kernel (ro, hide, uid, ...)

For each kernel the grader connects, sends one frame (four bytes of length, JSON: further keys of jail.py, and
`further_env`, added to the jail's env) and with it two descriptors: the socket that the kernel talks over (cells.py) and a tar file with the working folder. On the same
connection come back jail.py's JSON lines, "started" and the end; `I` sent there interrupts, closing it ends the kernel.
The first connection of all is the lifeline: when it ends, because the grader closed it or died, everything ends.
"""

# Paths are strings here, as in jail.py beside it:
# ruff: noqa: PTH120

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import tarfile  # noqa: F401  (jail.py imports it late, where no Python is left to import from)
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100  (-I leaves it out)
import jail

MAX_REQUEST_BYTES = 1 << 20
FIRST_WORD_S = 10  # the grader knocks every few milliseconds


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Take the request for one kernel."""
    head, fds, _, _ = socket.recv_fds(connection, 4, 2)
    wanted = struct.unpack(">I", head)[0]
    if wanted > MAX_REQUEST_BYTES:
        raise ValueError(f"a request of {wanted} bytes")
    data = b""
    while len(data) < wanted:
        part = connection.recv(wanted - len(data))
        if not part:
            raise ValueError("the request broke off")
        data += part
    return json.loads(data), list(fds)


class Zygote:
    """One warm kernel and the jail that each of its forks is put into."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.common: dict[str, Any] = spec["jail"]
        self.identity = jail.may_map_ids()
        os.environ.update(spec["env"])
        # takes a moment, and must come after the environment
        import cells

        self.kernel = cells.Kernel(spec["preload"])
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(spec["socket"])
        os.chmod(spec["socket"], 0o777)  # noqa: S103, PTH101  (the folder around it is closed to others)
        self.listener.listen(64)

    def serve(self) -> NoReturn:
        """Fork a guard for each connection; never look at what passes over it."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards are not waited for
        gc.collect()
        gc.freeze()  # a collection in a fork would copy every page
        self.listener.settimeout(FIRST_WORD_S)
        lifeline, _ = self.listener.accept()  # who asked for us may be dead already: then this ends us
        self.listener.settimeout(None)
        poll = select.poll()
        poll.register(lifeline, select.POLLIN)
        poll.register(self.listener, select.POLLIN)
        while True:
            if any(end == lifeline.fileno() for end, _ in poll.poll()):
                os._exit(0)
            connection, _ = self.listener.accept()
            ours, theirs = socket.socketpair()
            guard = os.fork()
            if guard == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (self.listener, lifeline, ours):
                    end.close()
                code = 125
                try:
                    code = self.guard(connection, theirs)
                except BaseException:
                    traceback.print_exc()
                finally:  # process 1 and the kernel come by here too, if ever: nothing of them goes further up
                    os._exit(code)
            connection.close()
            theirs.close()
            if self.identity and ours.recv(1):  # one process less than if the guard forked a child for it
                ours.send(bytes([jail.map_ids(guard)]))
            ours.close()

    def guard(self, connection: socket.socket, zygote: socket.socket) -> int:
        """Stand outside one kernel's walls until it has ended."""

        def mapped(unshare: Callable[[], None]) -> int:
            unshare()
            zygote.send(b"1")
            return zygote.recv(1)[0]

        try:
            given, (talk, bundle) = receive(connection)
            env = self.common["env"] | given.pop("further_env")
            spec = jail.complete(
                self.common | given | {"argv": ["kernel"], "env": env, "bundle": bundle, "keep": [talk]}
            )

            def act(spec: dict[str, Any]) -> NoReturn:
                self.become_kernel(spec, talk)

            return int(jail.stand_guard(spec, connection.fileno(), act, connection.fileno(), mapped))
        except (jail.JailError, OSError, ValueError) as error:
            return int(jail.conclude(connection.fileno(), {"error": str(error)}))

    def become_kernel(self, spec: dict[str, Any], talk: int) -> NoReturn:
        """Be the kernel, inside, without powers: nothing of the guard's stays open."""
        jail.libc.prctl(jail.PR_SET_DUMPABLE, 1, 0, 0, 0)  # it is an ordinary process again, as after exec
        os.set_inheritable(talk, False)
        os.closerange(3, talk)
        os.closerange(talk + 1, 1 << 16)
        end = socket.socket(fileno=talk)
        os.environ.clear()
        os.environ.update(spec["env"])
        try:
            self.kernel.serve(end)
        finally:
            os._exit(0)


def main() -> None:
    """Make the zygote and let it fork."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        spec = json.load(file)
    os.umask(0o022)
    Zygote(spec).serve()


if __name__ == "__main__":
    main()
