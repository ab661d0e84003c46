"""Process 1 of the emulated machine: lays out its files, then starts helpers and carries their commands over TCP.

Its kernel is told `ictlab.token=` and `ictlab.shares=`. A connection brings the token on a line, then one request as the
helper's are (a line of JSON), with `folder`, which names the helper. Besides the helper's there are `hello`, `begin` and
`end`. `run` brings `stdin_bytes` bytes after the line; its answer are frames, each a letter, a length (4 bytes, network
order) and so many bytes: `o` output, `c` the helper's answer, after which nothing follows. Closing the connection ends
the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import hmac
import json
import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PORT = 4000
SOCKETS = "/dev/shm"  # noqa: S108 (the machine's own): a helper has a /run of its own, and sockets are none on a share
HELPER = Path(__file__).with_name("helper.py")
UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
)  # fmt: skip
HELPER_START_S = 60.0
libc = ctypes.CDLL(None, use_errno=True)
helpers: dict[str, tuple[subprocess.Popen[bytes], str]] = {}  # folder -> the helper and its socket


def mount(source: str, target: str, kind: str, data: str = "") -> None:
    """mount(2), told on the console if it fails."""
    if libc.mount(source.encode(), target.encode(), kind.encode(), 0, data.encode()):
        print(f"mount {target}: {os.strerror(ctypes.get_errno())}", flush=True)


def settle(told: dict[str, str]) -> None:
    """File systems and the one interface to the outside."""
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("run", "/run", "tmpfs", "mode=755")
    Path(SOCKETS).mkdir(exist_ok=True)
    mount("shm", SOCKETS, "tmpfs", "mode=1777")
    for number, share in enumerate(told.get("ictlab.shares", "/").split(",")):
        if share != "/":
            mount(f"share{number}", share, "9p", "trans=virtio,version=9p2000.L,cache=none,msize=262144")
    os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG="C.UTF-8")
    socket.sethostname("machine")
    ip = "link set lo up\nlink set eth0 up\naddr add 10.0.2.15/24 dev eth0\nroute add default via 10.0.2.2\n"
    subprocess.run(["ip", "-batch", "-"], input=ip.encode(), check=False)


def begin(folder: str) -> dict[str, Any]:
    """Start the helper of a network, as who owns its folder: root of a namespace could not write there."""
    place = tempfile.mkdtemp(prefix="helper-", dir=SOCKETS)
    path = f"{place}/socket"
    owner = Path(folder).stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    helper = subprocess.Popen(
        [*UNSHARE, sys.executable, "-I", str(HELPER), folder, path],
        stdin=subprocess.PIPE, user=owner.st_uid, group=owner.st_gid, extra_groups=[],
    )  # fmt: skip
    deadline = time.monotonic() + HELPER_START_S
    while True:
        with socket.socket(socket.AF_UNIX) as line:
            if line.connect_ex(path) == 0:
                break
        if helper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the helper does not start; see the machine's console")
        time.sleep(0.05)
    helpers[folder] = (helper, path)
    return {}


def end(folder: str) -> dict[str, Any]:
    """End a network."""
    helper, path = helpers.pop(folder)
    assert helper.stdin is not None  # noqa: S101 (for the type checker: it is a pipe)
    helper.stdin.close()
    helper.wait()
    shutil.rmtree(Path(path).parent, ignore_errors=True)
    return {}


def serve(connection: socket.socket, token: bytes) -> None:
    """One request."""
    with connection, connection.makefile("rb") as words:
        if not hmac.compare_digest(words.readline().strip(), token):
            return
        try:
            asked = json.loads(words.readline())
            folder, operation = asked.pop("folder", ""), asked["op"]
            if operation == "hello":
                answer: dict[str, Any] = {}
            elif operation == "begin":
                answer = begin(folder)
            elif operation == "end":
                answer = end(folder)
            elif operation == "run":
                run(connection, words, helpers[folder][1], asked)
                return
            else:
                with socket.socket(socket.AF_UNIX) as line:
                    line.connect(helpers[folder][1])
                    line.sendall(json.dumps(asked).encode() + b"\n")
                    connection.sendall(heard(line))
                return
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        connection.sendall(json.dumps(answer).encode() + b"\n")


def heard(line: socket.socket) -> bytes:
    """A helper's answer, to the end of its line."""
    said = b""
    while not said.endswith(b"\n") and (more := line.recv(65536)):
        said += more
    return said


def frame(kind: bytes, content: bytes) -> bytes:
    """One frame."""
    return struct.pack("!cI", kind, len(content)) + content


def run(connection: socket.socket, words: BinaryIO, path: str, asked: dict[str, Any]) -> None:
    """Carry a command: its input now, its output as it comes, its answer at the end."""
    said, says = os.pipe()
    with tempfile.TemporaryFile(dir="/run") as given, socket.socket(socket.AF_UNIX) as line:
        given.write(words.read(asked.pop("stdin_bytes", 0)))
        given.seek(0)
        line.connect(path)
        message = [json.dumps(asked).encode() + b"\n"]
        socket.send_fds(line, message, [given.fileno(), says, says])
        os.close(says)
        os.set_blocking(said, False)
        try:
            with selectors.DefaultSelector() as events:
                for each in (said, line, connection):
                    events.register(each, selectors.EVENT_READ)
                carry(connection, line, said, events)
        finally:
            os.close(said)


def carry(connection: socket.socket, line: socket.socket, said: int, events: selectors.BaseSelector) -> None:
    """Until the command has ended, or nobody waits for it."""
    while True:
        for key, _ in events.select():
            if key.fd == said:
                if not (piece := os.read(said, 65536)):
                    events.unregister(said)
                else:
                    connection.sendall(frame(b"o", piece))
            elif key.fileobj is line:
                answer = heard(line)
                with contextlib.suppress(BlockingIOError):
                    while piece := os.read(said, 65536):
                        connection.sendall(frame(b"o", piece))
                connection.sendall(frame(b"c", answer))
                return
            else:
                return  # the line to the helper closes, which ends the command


def main() -> None:
    """Never returns: the machine ends when QEMU does."""
    mount("proc", "/proc", "proc")
    words = [word.partition("=") for word in Path("/proc/cmdline").read_text().split()]
    told = {name: value for name, _, value in words}
    settle(told)
    token = told["ictlab.token"].encode()
    listener = socket.create_server(("", PORT), backlog=64)
    print("ictlab: ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, token), daemon=True).start()


if __name__ == "__main__":
    main()
