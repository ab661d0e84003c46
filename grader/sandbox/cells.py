"""The kernel of a submission: runs cells as ipykernel would, and says what they did over one socket.

Mounted beside jail.py and zygote.py into containers of any image; it needs nothing but ipykernel. `Kernel` is made once,
before anything of a submission is here; `Kernel.serve` runs in a fork of that, inside the walls.

Messages both ways are frames: four bytes of length (big endian), then JSON. In comes
    {"cell": n, "code": text, "check": bool, "names_of": place or null}    a check leaves no trace of its source behind
    {"keep": place}                                 keep the names as they are now; answered by ["done", {"kept": place}]
out go, for one cell, any number of
    ["stream", {"name", "text"}]  ["display_data", {...}]  ["execute_result", {...}]  ["error", {...}]  ["clear_output", {}]
with the contents of Jupyter's messages of these names, and one
    ["done", {"cell": n, "status", "ename", "evalue", "traceback", "execution_count", "tampered": [sentence, ...]}]
Before the first cell: ["ready", {}].

Everything here shares its process with the submission's code, which can in the end do anything to it. What the checks
rest on is put back before each of them and differences are told (`Rests`); docs/trust.md says what that stops.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import importlib
import io
import json
import linecache
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
import types
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from traitlets.config import Config

# these load late, at the first error or picture: a fork should find them loaded
for _late in ("IPython.core.completer", "IPython.core.tbtools", "stack_data", "pygments.lexers.python",
              "pygments.formatters.terminal256", "pygments.styles.default", "tornado.platform.asyncio"):  # fmt: skip
    with contextlib.suppress(ImportError):
        importlib.import_module(_late)

FLUSH_S = 0.2  # printed text goes out at least this often, as in ipykernel
FLUSH_CHARS = 1 << 16
MAX_LATE_BYTES = 1 << 20  # of what a cell's subprocesses printed
SENT = ("stream", "display_data", "execute_result", "error", "clear_output")
MAY_CHANGE = {"input", "print", "open", "_", "__", "___", "get_ipython", "display", "exit", "quit", "help"}
KEPT_BY_PYTHON = ("__warningregistry__", "__doc__", "__abstractmethods__", "_abc_impl", "__subclasshook__")
# modules whose names decide what a check finds; those that are loaded already are kept whole
KEPT_WHOLE = (
    "math", "cmath", "operator", "functools", "itertools", "statistics", "re", "json", "inspect", "types", "random",
    "unittest.case", "numpy.testing", "ictlab", "ictlab.check", "ipaddress",
)  # fmt: skip


class Channel:
    """Frames of JSON over the socket."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.pid = os.getpid()

    def send(self, kind: str, content: dict[str, Any]) -> None:
        """Send one message. A child that a cell forked stays silent: its words are the cell's no more."""
        if os.getpid() != self.pid:
            return
        data = json.dumps([kind, content], default=str).encode("utf-8", "surrogatepass")
        self.end.sendall(struct.pack(">I", len(data)) + data)

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next cell; None when the grader is gone."""
        head = self._take(4)
        body = self._take(struct.unpack(">I", head)[0]) if head else None
        return json.loads(body) if body else None

    def _take(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            part = self.end.recv(count - len(data))
            if not part:
                return None
            data += part
        return bytes(data)


class Wire(Session):
    """Stands where ipykernel has its ZeroMQ session: what is published goes down the channel."""

    channel: Channel | None = None

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Pass on the messages that make a cell's outputs; the rest concerns front ends."""
        if isinstance(msg_or_type, dict):
            kind, content = msg_or_type["header"]["msg_type"], msg_or_type["content"]
        else:
            kind = msg_or_type
        if kind in SENT and self.channel is not None:
            self.channel.send(kind, content or {})
        return {"header": {"msg_type": kind}, "content": content}


class Printed(io.TextIOBase):
    """sys.stdout or sys.stderr: text in, stream messages out. Behaves as ipykernel's OutStream does for a cell."""

    encoding = "UTF-8"
    errors = "replace"

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.channel: Channel | None = None
        self.parts: list[str] = []
        self.chars = 0
        self.sent_at = 0.0
        self.pid = os.getpid()

    def write(self, text: str) -> int:
        """Keep `text` and send it soon."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        self.parts.append(text)
        self.chars += len(text)
        if self.chars > FLUSH_CHARS or time.monotonic() - self.sent_at > FLUSH_S:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what is kept."""
        parts, self.parts = self.parts, []
        self.chars, self.sent_at = 0, time.monotonic()
        if parts and self.channel is not None and (text := "".join(parts)):
            if os.getpid() == self.pid:
                self.channel.send("stream", {"name": self.name, "text": text})
            else:
                os.write(self.number, text.encode("utf-8", "replace"))

    def fileno(self) -> int:
        """The descriptor that subprocesses print to."""
        return self.number

    def isatty(self) -> bool:
        """It is none."""
        return False

    def writable(self) -> bool:
        """It is."""
        return True

    def set_parent(self, parent: Any) -> None:
        """Do nothing: every message belongs to the one cell that runs."""


class Late:
    """A file in place of descriptor 1 or 2: what subprocesses and C code print is read at the end of the cell."""

    def __init__(self, number: int, name: str) -> None:
        self.name = name
        path = f"/tmp/.printed-{number}"  # noqa: S108  (the jail's own /tmp, before the submission's code runs)
        self.reader = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        writer = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.unlink(path)  # noqa: PTH108
        os.dup2(writer, number)
        os.close(writer)

    def take(self) -> str:
        """Return what is new, and make room."""
        if not (size := os.fstat(self.reader).st_size):
            return ""
        data = os.pread(self.reader, min(size, MAX_LATE_BYTES), 0)
        os.ftruncate(self.reader, 0)
        return data.decode("utf-8", "replace")


class Rests:
    """What checks rest on: builtins, IPython's own code, loaded modules. Kept as it was before the submission."""

    def __init__(self, shell: Any, kernel: Any) -> None:
        self.shell = shell
        owners: dict[str, Any] = {"builtins": builtins}
        owners |= {name: sys.modules[name] for name in KEPT_WHOLE if name in sys.modules}
        for thing in (shell, kernel, shell.displayhook, shell.compile, shell.input_transformer_manager,
                      shell.display_formatter, shell.events, kernel.session):  # fmt: skip
            owners |= {
                f"{c.__module__}.{c.__qualname__}": c for c in type(thing).__mro__ if _machinery(c.__module__)
            }
        case = getattr(sys.modules.get("unittest.case"), "TestCase", None)
        if case is not None:
            owners["unittest.TestCase"] = case
        self.names = [(name, owner, dict(vars(owner))) for name, owner in owners.items()]
        self.modules = dict(sys.modules)
        # methods that are laid over the class's own in the object itself: only ours are
        self.objects = [
            (name, thing, {key for key in dir(type(thing)) if callable(getattr(type(thing), key, None))})
            for name, thing in (("get_ipython()", shell), ("the kernel", kernel), ("the display hook", shell.displayhook),
                                ("IPython's compiler", shell.compile))
        ]  # fmt: skip
        self.ours = [
            {key: vars(thing)[key] for key in keys & vars(thing).keys()} for _, thing, keys in self.objects
        ]
        self.hooks = {name: list(getattr(shell.input_transformer_manager, name)) for name in
                      ("cleanup_transforms", "line_transforms", "token_transformers")}  # fmt: skip
        self.events = {name: list(found) for name, found in shell.events.callbacks.items()}

    def restore(self) -> list[str]:
        """Put everything back; return what had been changed, in sentences."""
        found = []
        for name, owner, kept in self.names:
            now = vars(owner)
            changed = [key for key, value in kept.items() if now.get(key) is not value]
            if isinstance(owner, type) and len(now) > len(kept):  # a method laid over an inherited one
                changed += [key for key in now if key not in kept]
            for key in changed:
                if key in KEPT_BY_PYTHON or (owner is builtins and key in MAY_CHANGE):
                    continue
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(owner, key, kept[key]) if key in kept else delattr(owner, key)
                    found.append(f"{name}.{key} had been replaced.")
        for key, module in self.modules.items():
            now_there = sys.modules.get(key)
            if now_there is not module:
                sys.modules[key] = module
                if now_there is not None:
                    found.append(f"The module {key} had been replaced in sys.modules.")
        for (name, thing, keys), ours in zip(self.objects, self.ours, strict=True):
            for key in keys & (vars(thing).keys() | ours.keys()):
                if vars(thing).get(key) is not ours.get(key):
                    vars(thing).pop(key, None)
                    vars(thing).update({key: ours[key]} if key in ours else {})
                    found.append(f"{name}.{key} had been replaced.")
        return found + self._restore_shell()

    def _restore_shell(self) -> list[str]:
        shell, found = self.shell, []
        for name, kept in self.hooks.items():
            if getattr(shell.input_transformer_manager, name) != kept:
                setattr(shell.input_transformer_manager, name, list(kept))
                found.append(f"IPython's {name} had been changed.")
        for name in ("ast_transformers", "input_transformers_post"):
            if getattr(shell, name):
                setattr(shell, name, [])
                found.append(f"IPython's {name} had been changed.")
        if shell.ast_node_interactivity != "last_expr":
            shell.ast_node_interactivity = "last_expr"
            found.append("IPython's ast_node_interactivity had been changed.")
        if shell.custom_exceptions:
            shell.custom_exceptions = ()
            found.append("A handler for exceptions had been put into IPython.")
        for name, get, put in (
            ("sys.settrace", sys.gettrace, sys.settrace),
            ("sys.setprofile", sys.getprofile, sys.setprofile),
        ):
            if get() is not None:
                put(None)
                found.append(f"{name} had been used.")
        return found

    @contextlib.contextmanager
    def no_listeners(self) -> Iterator[None]:
        """Keep callbacks that a submission registered from being handed the check."""
        events = self.shell.events.callbacks
        mine = {name: events.get(name) for name in ("pre_execute", "pre_run_cell", "post_run_cell")}
        events.update({name: list(self.events.get(name, ())) for name in mine})
        try:
            yield
        finally:
            events.update({name: found for name, found in mine.items() if found is not None})


def _machinery(module: str) -> bool:
    return module.partition(".")[0] in ("IPython", "ipykernel", "cells", "zygote", "__main__")


class Kernel:
    """ipykernel's kernel and shell without sockets and threads, so that it can be forked."""

    def __init__(self, preload: list[str]) -> None:
        for module in preload:
            with contextlib.suppress(ImportError):  # the cell that imports it says so in its own words
                importlib.import_module(module)
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as in ipykernel
        self.wire = Wire(key=b"")
        sys.modules.setdefault("debugpy", None)  # type: ignore[arg-type]  # it is large, and nobody debugs here
        self.kernel: Any = IPythonKernel.instance(
            session=self.wire,
            iopub_socket=object(),
            log=logging.getLogger("kernel"),
            config=Config({"HistoryManager": {"enabled": False}}),  # it would keep a thread
        )
        if sys.modules["debugpy"] is None:
            del sys.modules["debugpy"]
        self.kernel.shell_channel_thread = types.SimpleNamespace(parent_thread=threading.main_thread())
        shell: Any = self.kernel.shell
        self.shell = shell
        shell.transform_cell = _remembering(shell.transform_cell)  # ipykernel and IPython both call it
        shell.compile.get_code_name = _code_name  # theirs hashes in Python, 0.3 ms a cell
        # would format each error a second time, for a history that nobody keeps
        shell._format_exception_for_storage = lambda *_args, **_kwargs: []
        self.streams = [Printed("stdout", 1), Printed("stderr", 2)]
        self.places: dict[int, dict[str, Any]] = {}
        self.rests = Rests(self.shell, self.kernel)
        self._warm()

    def _warm(self) -> None:
        """Run a cell that works and one that does not: what they load and compile, forks need not."""
        kept = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.streams
        loop = self._new_loop()
        try:
            for code in ("[1 + 1]", "def f(n):\n    assert n == 2, 'no'\nf(3)", "1 +"):
                loop.run_until_complete(self.kernel.do_execute(code, False, store_history=False))
        finally:
            loop.close()
            asyncio.set_event_loop(None)
            sys.stdout, sys.stderr = kept
        self.shell.reset(new_session=False)
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        for stream in self.streams:
            stream.parts.clear()

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self.kernel.io_loop = IOLoop(asyncio_loop=loop, make_current=False)
        return loop

    def serve(self, end: socket.socket) -> None:
        """Run the cells that come over `end`, until it is closed. Called in a fork, inside the walls."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end.setblocking(True)
        self.channel = self.wire.channel = Channel(end)
        self.late = [Late(1, "stdout"), Late(2, "stderr")]
        for stream in self.streams:
            stream.channel, stream.pid, stream.sent_at = self.channel, os.getpid(), time.monotonic()
        sys.stdout, sys.stderr = self.streams
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
        if "numpy.random" in sys.modules:
            sys.modules[
                "numpy.random"
            ].seed()  # forks would all draw the same; Python's own random sees to itself
        sys.path.insert(next((i for i, p in enumerate(sys.path) if p.endswith("-packages")), 0), "")
        loop = self._new_loop()
        self.channel.send("ready", {})
        while (asked := self.channel.receive()) is not None:
            if "keep" in asked:
                self.places[asked["keep"]] = dict(self.shell.user_ns)
                self.channel.send("done", {"kept": asked["keep"]})
                continue
            with self._names(asked.get("names_of")):
                self._run(loop, asked)
            if os.getpid() != self.channel.pid:
                os._exit(0)  # a child that a cell forked: the next cell is not for it

    @contextlib.contextmanager
    def _names(self, place: int | None) -> Iterator[None]:
        """Give a cell the names of a place that was kept; afterwards those of now again."""
        kept = self.places.get(place) if place is not None else None
        if kept is None:
            yield
            return
        names = self.shell.user_ns
        now = dict(names)
        names.clear()
        names.update(kept)
        try:
            yield
        finally:
            names.clear()
            names.update(now)

    def _run(self, loop: asyncio.AbstractEventLoop, asked: dict[str, Any]) -> None:
        tampered = self.rests.restore() if asked["check"] else []
        before = self.shell.last_execution_result, set(linecache.cache)
        if loop.is_closed():
            loop = self._new_loop()
        try:
            with self.rests.no_listeners() if asked["check"] else contextlib.nullcontext():
                reply = loop.run_until_complete(self._execute(asked))
        except KeyboardInterrupt:
            reply = _failed("KeyboardInterrupt", "")
        except RuntimeError as error:  # a cell stopped the loop it ran in
            reply = _failed("RuntimeError", str(error))
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        for stream in (sys.stdout, sys.stderr, *self.streams):
            with contextlib.suppress(Exception):
                stream.flush()
        for late in self.late:
            if text := late.take():
                self.channel.send("stream", {"name": late.name, "text": text})
        if asked["check"]:
            tampered += self.rests.restore()
            self._forget(*before)
        done = {key: reply.get(key) for key in ("status", "ename", "evalue", "traceback", "execution_count")}
        self.channel.send(
            "done", {"cell": asked["cell"], **done, "tampered": list(dict.fromkeys(tampered))[:20]}
        )

    async def _execute(self, asked: dict[str, Any]) -> dict[str, Any]:
        header = {"msg_id": f"cell-{asked['cell']}", "msg_type": "execute_request", "session": "grading"}
        self.kernel.set_parent([], {"header": header, "metadata": {}, "content": {}})
        await asyncio.sleep(0)  # tasks that an earlier cell left may go on
        signal.signal(signal.SIGINT, signal.default_int_handler)
        reply: dict[str, Any] = await self.kernel.do_execute(
            asked["code"], False, store_history=not asked["check"], allow_stdin=False
        )
        return reply

    def _forget(self, last: Any, lines: set[str]) -> None:
        """Leave nothing where the next cell could read the check's source."""
        self.shell.last_execution_result = last
        self.shell.transform_cell("")
        self.shell._last_traceback = None
        for name in set(linecache.cache) - lines:
            del linecache.cache[name]
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)


def _remembering(transform: Callable[[str], str]) -> Callable[[str], str]:
    """Give the last cell's transformed text again instead of working it out a second time."""
    last: list[str] = ["", ""]

    def transform_cell(raw: str) -> str:
        if raw != last[0] or not raw:
            last[:] = raw, transform(raw)
        return last[1]

    return transform_cell


def _code_name(raw: str, transformed: str, number: int) -> str:
    """The file name that a cell has in tracebacks."""
    return f"/tmp/ipykernel_{os.getpid()}/{zlib.crc32(raw.encode('utf-8', 'replace'))}.py"  # noqa: S108


def _failed(name: str, why: str) -> dict[str, Any]:
    return {"status": "error", "ename": name, "evalue": why, "traceback": [f"{name}: {why}"]}
