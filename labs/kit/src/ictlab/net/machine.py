"""An emulated machine for networks that this host's kernel cannot hold: QEMU with a kernel of its own, files shared.

Nothing is asked of the host: no /dev/kvm, no namespaces, no more system calls than any program has. The same helper
runs in it (guest.py starts it), so the same nodes, links and commands are there, some ten times slower. One machine
serves all networks of a notebook and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ictlab.net.namespaces import Command, Ended, Namespaces, NetError, answered, request

FOLDER = Path("/usr/lib/ictlab-machine")  # kernel and initrd, made when the image was built
QEMU = "qemu-system-x86_64"
MEMORY_MB = 192
CODE_MB = 96  # of translated code that QEMU keeps
START_S = 120.0  # on a busy machine; 7 s on an idle one
PATIENCE = (
    3.0  # for checks: what waits for clocks takes as long as anywhere, what calculates ten times as long
)
SLOWER = 8  # times longer may a command take than on the host's own kernel
GUEST_PORT = 4000
SHARED = ("/", "/tmp", "/home")  # noqa: S108 (each a share, at the same place inside)
_lock = threading.Lock()
_running: Emulator | None = None


def available() -> bool:
    """Whether this image has an emulated machine."""
    return (FOLDER / "vmlinuz").exists() and shutil.which(QEMU) is not None


class Emulator:
    """The QEMU process. `shared` gives the one of this notebook."""

    def __init__(self) -> None:
        """Start it and wait until it answers. Raises NetError."""
        kernel, initrd = FOLDER / "vmlinuz", FOLDER / "initrd"
        if not available():
            raise NetError(
                "There is no emulated machine here either: it is part of the environment `network` on amd64."
            )
        self.token = secrets.token_hex(16)
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ictlab-machine-"))
        shares = [share for share in SHARED if Path(share).is_dir()]
        words = [
            "setpriv", "--pdeathsig", "KILL", "--", QEMU,
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "pc", "-cpu", "max",
            "-accel", f"tcg,tb-size={CODE_MB}", "-m", str(MEMORY_MB), "-serial", f"file:{self.folder}/console",
            "-kernel", str(kernel), "-initrd", str(initrd), "-device", "virtio-rng-pci",
            "-append", f"console=ttyS0 quiet panic=-1 mitigations=off ictlab.token={self.token} "
            f"ictlab.shares={','.join(shares)}",
            "-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:{GUEST_PORT}",
            "-device", "virtio-net-pci,netdev=n,romfile=",
        ]  # fmt: skip
        for number, share in enumerate(shares):
            options = "security_model=none,multidevs=remap"
            words += ["-virtfs", f"local,path={share},mount_tag=share{number},{options}"]
        with (self.folder / "qemu.log").open("wb") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.close = weakref.finalize(self, _end, self.process, self.folder)
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                with self.connect() as line:
                    line.settimeout(START_S)
                    line.sendall(request("hello", {}))
                    answered(line)
                return
            except (OSError, Ended):
                pass
            if not self.alive or time.monotonic() > deadline:
                said = [
                    line
                    for name in ("qemu.log", "console")
                    if (self.folder / name).exists()
                    for line in (self.folder / name).read_text(errors="replace").splitlines()[-3:]
                ]
                self.close()
                raise NetError(f"The emulated machine does not start: {' '.join(said) or 'no answer'}")
            time.sleep(0.1)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def connect(self) -> socket.socket:
        """A line to the guest, for one request."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=START_S)
        line.settimeout(None)
        line.sendall(self.token.encode() + b"\n")
        return line


def shared() -> Emulator:
    """The machine of this notebook, started at first need."""
    global _running  # noqa: PLW0603 (one machine is enough, and all that fits)
    with _lock:
        if _running is None or not _running.alive:
            _running = Emulator()
        return _running


class EmulatedNamespaces(Namespaces):
    """One helper in the emulated machine, with the nodes in it."""

    slower = SLOWER

    def __init__(self) -> None:
        """Start the helper, and the machine if it does not run yet. Raises NetError."""
        self.machine = shared()
        self.folder = Path(tempfile.mkdtemp(prefix="ictlab-net-"))
        self.close = weakref.finalize(self, _leave, self.machine, self.folder)
        self.ask("begin")

    @property
    def alive(self) -> bool:
        """Whether the machine runs."""
        return self.machine.alive

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer. Raises NetError."""
        return super().ask(operation, folder=str(self.folder), **arguments)

    def _connect(self) -> socket.socket:
        try:
            return self.machine.connect()
        except OSError as error:
            raise Ended(
                "The emulated machine is gone. Run the notebook from its first cell again."
            ) from error

    def start(
        self, node: str, argv: Sequence[str], *, stdin: int, stdout: int, stderr: int, env: dict[str, str]
    ) -> Command:
        """Start a command in a node: all of `stdin` goes over now, what it prints comes to `stdout`."""
        given = bytearray()
        while piece := os.read(stdin, 65536):
            given += piece
        asked = {"node": node, "argv": list(argv), "cwd": str(Path.cwd()), "env": env}
        line = self._connect()
        line.sendall(request("run", {**asked, "folder": str(self.folder), "stdin_bytes": len(given)}) + given)
        ours, theirs = socket.socketpair()
        out = os.dup(stdout)
        threading.Thread(target=_pump, args=(line, theirs, out), daemon=True).start()
        return Command(ours)


def _pump(line: socket.socket, told: socket.socket, out: int) -> None:
    """Carry frames from the guest to who waits: output to `out`, the answer at the end to `told`."""
    watch = threading.Thread(target=_hang_up, args=(told, line), daemon=True)
    watch.start()
    with contextlib.suppress(OSError, struct.error), line.makefile("rb") as frames:
        while head := frames.read(5):
            kind, length = struct.unpack("!cI", head)
            content = frames.read(length)
            if kind == b"o":
                os.write(out, content)
            else:
                told.sendall(content)
                break
    os.close(out)
    for end in (told, line):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    watch.join()
    told.close()
    line.close()


def _hang_up(told: socket.socket, line: socket.socket) -> None:
    """Who waited is gone: so ends the line, and with it the command."""
    with contextlib.suppress(OSError):
        told.recv(1)
        line.shutdown(socket.SHUT_RDWR)


def _leave(machine: Emulator, folder: Path) -> None:
    with contextlib.suppress(OSError, NetError), machine.connect() as line:
        line.settimeout(10)
        line.sendall(request("end", {"folder": str(folder)}))
        answered(line)
    shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


__all__ = ["EmulatedNamespaces", "Emulator", "shared"]
