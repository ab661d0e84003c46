"""Kernels for submissions: forks of a warm zygote, each in a jail of its own, spoken to over one socket."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import socket
import struct
import tarfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grader.sandbox.base import KILLED, START_S, Exit, Limits, SandboxError

MAX_MESSAGE_BYTES = 32 << 20  # one message of a kernel
END_S = 10  # until the guard of a kernel that is gone has said why


class KernelEnded(Exception):
    """The kernel is gone; `exit` says how."""

    def __init__(self, end: Exit) -> None:
        super().__init__(end.reason)
        self.exit = end


class Unresponsive(Exception):
    """A cell ran out of time and could not be interrupted."""


class TooLarge(Exception):
    """A message is larger than is ever read, or is none."""


class LiveKernel:
    """One kernel inside its walls. Not for two threads at once."""

    def __init__(self, control: socket.socket, talk: socket.socket) -> None:
        self._control, self._talk = control, talk
        self._said = b""
        self._exit: Exit | None = None
        self.started = False
        self.timed_out = False

    def await_ready(self) -> None:
        """Wait until cells may be sent. Raises SandboxError when the walls or the kernel could not be set up."""
        try:
            kind, _ = self._receive(time.monotonic() + START_S)
        except (KernelEnded, TooLarge, TimeoutError, OSError) as error:
            self.close()
            raise SandboxError(f"no kernel started: {self._fault() or error or 'no word'}") from error
        if kind != "ready":
            raise SandboxError(f"no kernel started: it said {kind!r}.")
        self.started = True

    def run(
        self,
        number: int,
        code: str,
        *,
        check: bool,
        names_of: int | None = None,
        timeout_s: float,
        grace_s: float,
        heard: Callable[[str, dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Run one cell; every message goes to `heard`, the last one is returned (cells.py names its keys).

        names_of: a place that was kept; the cell finds its names as they were there.
        After `timeout_s` the cell is interrupted (`timed_out`) and has `grace_s` to end. Raises Unresponsive,
        KernelEnded, TooLarge; whatever `heard` raises comes through.
        """
        self.timed_out = False
        self._send({"cell": number, "code": code, "check": check, "names_of": names_of})
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                kind, content = self._receive(deadline)
            except TimeoutError:
                if self.timed_out:
                    raise Unresponsive from None
                self.timed_out = True
                self.interrupt()
                deadline = time.monotonic() + grace_s
                continue
            if kind != "done":
                heard(kind, content)
            elif content.get("cell") == number:
                return content

    def keep(self, place: int) -> None:
        """Keep the names as they are now, for `run`. Raises as `run` does."""
        self._send({"keep": place})
        while True:
            try:
                kind, content = self._receive(time.monotonic() + END_S)
            except TimeoutError as error:
                raise Unresponsive from error
            if kind == "done" and content.get("kept") == place:
                return

    def interrupt(self) -> None:
        """Send SIGINT to the kernel itself."""
        with contextlib.suppress(OSError):
            self._control.send(b"I")

    def kill(self) -> None:
        """End it and everything it started. Safe to call again."""
        with contextlib.suppress(OSError):
            self._talk.close()
        if self._exit is None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it, wait until nothing of it is left, and free what is held here."""
        self.kill()
        self.ended()
        self._control.close()

    def ended(self) -> Exit:
        """Wait for the guard's last word, which comes when every process inside is gone."""
        deadline = time.monotonic() + END_S
        while self._exit is None:
            word = self._last_word()
            if word is not None:
                told = json.loads(word) if word else {}
                self._exit = Exit(int(told["code"]), str(told["reason"])) if "code" in told else KILLED
            elif not select.select([self._control], [], [], max(0, deadline - time.monotonic()))[0]:
                self._exit = KILLED
            else:
                self._hear_guard()
        return self._exit

    def _fault(self) -> str:
        """What the guard says went wrong with the walls, if it does."""
        word = self._last_word()
        return str(json.loads(word).get("error", "")) if word else ""

    def _hear_guard(self) -> None:
        try:
            part = self._control.recv(4096)
        except OSError:
            part = b""
        self._said += part or b"\n\n"

    def _last_word(self) -> str | None:
        """The guard's last line; None while it may say more; "" if it is gone without one."""
        lines = self._said.decode(errors="replace").split("\n")
        found = [line for line in lines[:-1] if line and '"started"' not in line]
        if found:
            return found[-1]
        return "" if self._said.endswith(b"\n\n") else None

    def _send(self, what: dict[str, Any]) -> None:
        data = json.dumps(what).encode()
        try:
            self._talk.settimeout(START_S)
            self._talk.sendall(struct.pack(">I", len(data)) + data)
        except OSError as error:
            raise KernelEnded(self.ended()) from error

    def _receive(self, deadline: float) -> tuple[str, dict[str, Any]]:
        size = struct.unpack(">I", self._take(4, deadline))[0]
        if size > MAX_MESSAGE_BYTES:
            raise TooLarge
        try:
            kind, content = json.loads(self._take(size, deadline).decode("utf-8", "replace"))
        except (ValueError, RecursionError, TypeError) as error:
            raise TooLarge from error
        if not isinstance(kind, str) or not isinstance(content, dict):
            raise TooLarge
        return kind, content

    def _take(self, count: int, deadline: float) -> bytes:
        """Read `count` bytes. A message that was begun when time is up is read on for as long again as it trickles."""
        data = bytearray()
        while len(data) < count:
            self._talk.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self._talk.recv(min(count - len(data), 1 << 20))
            except TimeoutError:
                if data or deadline - time.monotonic() < -START_S:
                    raise TooLarge from None  # half a message: what follows could not be told apart
                raise
            except OSError:
                part = b""
            if not part:
                raise KernelEnded(self.ended())
            data += part
        return bytes(data)


class ZygoteProcess(ABC):
    """A zygote that a sandbox has started.

    lifeline: the first connection to it, held open: the zygote ends with it, also when this process is killed.
    """

    lifeline: socket.socket | None = None

    @abstractmethod
    def last_words(self) -> str | None:
        """Say what it printed if it is gone, else None."""

    @abstractmethod
    def kill(self) -> None:
        """End it and every kernel forked from it, and remove its folder."""


class Kernels:
    """Kernels of one environment, forked from one zygote at a time. One that has died is replaced.

    launch: starts a zygote that preloads these modules and listens at the path it returns.
    fork: False gives every kernel a zygote of its own with nothing preloaded: for libraries that a fork breaks.
    """

    def __init__(
        self,
        launch: Callable[[Sequence[str]], tuple[ZygoteProcess, str]],
        limits: Limits,
        preload: Sequence[str] = (),
        fork: bool = True,
    ) -> None:
        self._launch, self._limits, self._fork = launch, limits, fork
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._zygote: tuple[ZygoteProcess, str] | None = None

    def start(self, files: Mapping[str, bytes], env: Mapping[str, str] | None = None) -> LiveKernel:
        """Start a kernel with `files` (path -> bytes) in its working folder. Raises SandboxError."""
        if not self._fork:
            return self._start_alone(files, env)
        zygote = self._living()
        try:
            return self._ask(zygote[1], files, env)
        except (SandboxError, OSError) as error:
            if zygote[0].last_words() is None and not isinstance(error, OSError):
                raise
        return self._ask(self._living(dead=zygote)[1], files, env)

    def start_alone(self, files: Mapping[str, bytes], env: Mapping[str, str] | None = None) -> LiveKernel:
        """Start a kernel that shares memory and processors with no other submission."""
        return self._start_alone(files, env)

    def _start_alone(self, files: Mapping[str, bytes], env: Mapping[str, str] | None) -> LiveKernel:
        zygote, path = self._launched(self._preload if self._fork else ())
        try:
            kernel = self._ask(path, files, env)
        except BaseException:
            _end(zygote)
            raise
        close = kernel.close

        def close_both() -> None:
            close()
            _end(zygote)

        kernel.close = close_both  # type: ignore[method-assign]
        return kernel

    def _living(self, dead: tuple[ZygoteProcess, str] | None = None) -> tuple[ZygoteProcess, str]:
        with self._lock:
            if self._zygote is not None and (
                self._zygote is dead or self._zygote[0].last_words() is not None
            ):
                _end(self._zygote[0])
                self._zygote = None
            if self._zygote is None:
                self._zygote = self._launched(self._preload)
            return self._zygote

    def _launched(self, preload: Sequence[str]) -> tuple[ZygoteProcess, str]:
        zygote, path = self._launch(preload)
        deadline = time.monotonic() + START_S
        while True:
            lifeline = socket.socket(socket.AF_UNIX)
            try:
                lifeline.connect(path)
            except OSError:
                lifeline.close()
            else:
                zygote.lifeline = lifeline
                return zygote, path
            if (said := zygote.last_words()) is not None or time.monotonic() > deadline:
                zygote.kill()
                raise SandboxError(f"no zygote started: {(said or 'it said nothing in time').strip()}")
            time.sleep(0.005)

    def _ask(self, path: str, files: Mapping[str, bytes], env: Mapping[str, str] | None) -> LiveKernel:
        limits = self._limits
        request = json.dumps(
            {
                "memory_mb": limits.memory_mb,
                "pids": limits.pids,
                "disk_mb": limits.disk_mb,
                "wall_s": limits.wall_s,
                "nested": limits.nested,
                "further_env": dict(env or {}),
            }
        ).encode()
        control = socket.socket(socket.AF_UNIX)
        try:
            talk, inside = socket.socketpair()
            bundle = _bundled(files)
            try:
                control.connect(path)
                socket.send_fds(
                    control, [struct.pack(">I", len(request)) + request], [inside.fileno(), bundle]
                )
            finally:
                inside.close()
                os.close(bundle)
        except OSError:
            control.close()
            raise
        kernel = LiveKernel(control, talk)
        kernel.await_ready()
        return kernel

    def close(self) -> None:
        """End the zygote and every kernel that is left."""
        with self._lock:
            if self._zygote is not None:
                _end(self._zygote[0])
                self._zygote = None


def _end(zygote: ZygoteProcess) -> None:
    if zygote.lifeline is not None:
        zygote.lifeline.close()
    zygote.kill()


def _bundled(files: Mapping[str, bytes]) -> int:
    """A descriptor of a tar file with `files`."""
    number = os.memfd_create("work", os.MFD_CLOEXEC)
    with (
        os.fdopen(os.dup(number), "wb") as target,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    os.lseek(number, 0, os.SEEK_SET)
    return number
