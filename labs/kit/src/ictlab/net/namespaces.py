"""The notebook's end of a network's helper: starts it, asks it, runs commands through it, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

HELPER = Path(__file__).with_name("helper.py")
UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
)  # fmt: skip
START_S = 20.0  # for the helper to answer, on a busy machine
LONGEST_OUTPUT = 1 << 20  # bytes kept of what a command prints
HINTS = {
    "Operation not permitted": "This server was started without the walls that network labs need. Start the lab again "
    "from the portal; if that does not help, tell your instructor.",
    "No space left on device": "This machine allows no more namespaces (user.max_user_namespaces). Tell your instructor.",
    "Permission denied": "The machine's AppArmor forbids it. Tell your instructor: `ict doctor` says what to do.",
}


class NetError(Exception):
    """Something in the network cannot be done; the message says what and where."""


class Ended(NetError):
    """The network is gone."""


def explained(said: str) -> str:
    """Add to a system's message what it usually means here."""
    hint = next((hint for words, hint in HINTS.items() if words in said), "")
    return f"{said}\n{hint}".strip()


class Namespaces:
    """One helper with the nodes in it. `close` or the end of this process ends both.

    slower: how many times longer than here commands may take; 1 on the host's own kernel.
    """

    slower = 1

    def __init__(self) -> None:
        """Start the helper. Raises NetError."""
        self.folder = Path(tempfile.mkdtemp(prefix="ictlab-net-"))
        log = (self.folder / "helper.log").open("ab")
        try:
            self._helper = subprocess.Popen(
                [*UNSHARE, sys.executable, "-I", str(HELPER), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise NetError(explained(str(error))) from error
        finally:
            log.close()
        self.close = weakref.finalize(self, _end, self._helper, self.folder)
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.ask("hello")
                return
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            if self._helper.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "helper.log").read_text(errors="replace").strip().splitlines()[-1:]
                self.close()
                raise NetError(explained(f"No network can be built here: {' '.join(said) or 'no answer'}"))
            time.sleep(0.003)

    @property
    def alive(self) -> bool:
        """Whether the helper runs."""
        return self._helper.poll() is None

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer. Raises NetError."""
        with self._connect() as line:
            line.sendall(request(operation, arguments))
            return answered(line)

    def _connect(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(self.folder / "socket"))
        except OSError as error:
            line.close()
            if self.alive:
                raise
            raise Ended("The network is gone. Run the notebook from its first cell again.") from error
        return line

    def start(
        self, node: str, argv: Sequence[str], *, stdin: int, stdout: int, stderr: int, env: dict[str, str]
    ) -> Command:
        """Start a command in a node with these descriptors as its own."""
        line = self._connect()
        asked = {"node": node, "argv": list(argv), "cwd": str(Path.cwd()), "env": env}
        socket.send_fds(line, [request("run", asked)], [stdin, stdout, stderr])
        return Command(line)

    def run(
        self,
        node: str,
        argv: Sequence[str],
        *,
        timeout_s: float,
        text: str = "",
        heard: Callable[[str], None] | None = None,
        env: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run a command to its end; (exit code, what it printed). heard: gets what it prints as it comes.

        Raises NetError when it takes longer than `timeout_s`; it is then ended, and what it started.
        """
        with contextlib.ExitStack() as opened:
            out = opened.enter_context(_pipe())
            with contextlib.ExitStack() as its:
                says = its.enter_context(os.fdopen(os.dup(out[1]), "wb"))
                os.close(out[1])
                given = its.enter_context(tempfile.TemporaryFile())
                given.write(text.encode())
                given.seek(0)
                ends = {"stdin": given.fileno(), "stdout": says.fileno(), "stderr": says.fileno()}
                running = opened.enter_context(self.start(node, argv, env=env or {}, **ends))
            printed = _listen(out[0], running, time.monotonic() + timeout_s * self.slower, heard)
            if running.code is None:
                shown = " ".join(argv)
                raise NetError(
                    f"{node}: {shown}: no end after {timeout_s:g} s, so it was stopped.\n{printed}"
                )
            return running.code, printed


class Command:
    """A command that runs in a node. Closing it ends it."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.code: int | None = None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code, or None if it still runs after `timeout_s`."""
        if self.code is None:
            self.line.settimeout(timeout_s)
            with contextlib.suppress(TimeoutError):
                self.code = int(answered(self.line)["code"])
        return self.code

    def close(self) -> None:
        """End it, and what it started in its session."""
        self.line.close()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _pipe() -> Any:
    """A pipe whose reading end is closed at last."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        os.close(ends[0])


def _listen(out: int, running: Command, deadline: float, heard: Callable[[str], None] | None) -> str:
    """Read until the command itself has ended: a daemon that it left may hold its output open for ever."""
    kept = bytearray()
    with selectors.DefaultSelector() as events:
        events.register(out, selectors.EVENT_READ)
        events.register(running.line, selectors.EVENT_READ)
        while running.code is None and (left := deadline - time.monotonic()) > 0:
            for key, _ in events.select(left):
                if key.fd == out:
                    if not _take(out, kept, heard):
                        events.unregister(out)
                else:
                    running.wait()
    os.set_blocking(out, False)
    with contextlib.suppress(BlockingIOError):
        while _take(out, kept, heard):
            pass
    return kept.decode(errors="replace")


def _take(out: int, kept: bytearray, heard: Callable[[str], None] | None) -> bool:
    piece = os.read(out, 65536)
    kept += piece[: max(0, LONGEST_OUTPUT - len(kept))]
    if piece and heard:
        heard(piece.decode(errors="replace"))
    return bool(piece)


def request(operation: str, arguments: dict[str, Any]) -> bytes:
    """A helper's request, as it goes over the line."""
    return json.dumps({"op": operation, **arguments}).encode() + b"\n"


def answered(line: socket.socket) -> dict[str, Any]:
    """What the helper answers. Raises NetError with its words."""
    said = b""
    while not said.endswith(b"\n"):
        more = line.recv(65536)
        if not more:
            raise Ended("The network is gone. Run the notebook from its first cell again.")
        said += more
    answer: dict[str, Any] = json.loads(said)
    if "error" in answer:
        raise NetError(explained(str(answer["error"])))
    return answer


def _end(helper: subprocess.Popen[bytes], folder: Path) -> None:
    pipe: BinaryIO | None = helper.stdin  # type: ignore[assignment]
    if pipe:
        with contextlib.suppress(OSError):
            pipe.close()
    try:
        helper.wait(5)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
    shutil.rmtree(folder, ignore_errors=True)
