"""Process 1 of a network's namespaces: makes nodes and links, runs commands in them, and takes all along when it ends.

    unshare --user --map-root-user --net --mount --pid --uts --ipc --fork --kill-child python3 -I helper.py FOLDER [SOCKET]

It listens on SOCKET, or FOLDER/socket. One connection is one request: a line of JSON with `op` and its arguments, answered by a
line of JSON, {"error": ...} if it went wrong. `run` comes with three descriptors, which become the command's own; its
answer is {"code": n} when the command has ended, and closing the connection before that kills the command and what it
started in its session. The helper ends when the pipe on its standard input closes, which happens when whoever started
it ends, however it ends; the kernel then ends everything in the process namespace and frees the interfaces.

It must run where only its standard library is to be trusted, so it imports nothing of ictlab but fakeids beside it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

NEW_NS, NEW_UTS, NEW_NET = 0x20000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID_NODEV_NOEXEC = 4096, 16384, 1 << 18, 14
PR_SET_PDEATHSIG = 1
# a node's own, empty at its start: daemons keep sockets, leases and pid files there
OWN_FOLDERS = ("/run", "/var/tmp", "/var/lib/dhcp", "/var/lib/misc", "/var/lib/frr")  # noqa: S108 (mounted anew)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # nodes are for administrators
LONGEST_ERROR = 500
libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A request cannot be done; the message goes to who asked."""


def check(result: int, step: str) -> None:
    """Turn a C call's -1 into an OSError that names the step."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    kind_bytes = kind.encode() if kind else None
    result = libc.mount(source.encode(), target.encode(), kind_bytes, flags, data.encode())
    check(result, f"mount {target}")


def command(*argv: str) -> None:
    """Run a command to its end. Raises Refused with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused((done.stderr or done.stdout).strip()[:LONGEST_ERROR] or f"{argv[0]} failed")


class Helper:
    """The nodes of one network and the commands that run in them."""

    def __init__(self, folder: Path, path: Path) -> None:
        """`folder`: writable, for files that nodes see as their own. `path`: where it listens."""
        self.folder, self.path = folder, path
        self.nodes: dict[str, int] = {}  # name -> the process that holds its namespaces
        self.running: dict[int, socket.socket] = {}  # command -> who waits for it
        self.events = selectors.DefaultSelector()
        self.null = os.open(os.devnull, os.O_RDWR)
        self.listener = socket.socket(socket.AF_UNIX)
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": lambda _: {"proc": self.proc},
            "node": self.make_node,
            "link": self.make_link,
            "pid": lambda asked: {"pid": self.holder(asked["name"])},
        }
        self.proc = self.prepare()

    def prepare(self) -> bool:
        """Make the namespaces fit to live in. Returns whether /proc, and so kernel settings, are our own."""
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.environ["PATH"] = PATH
        beside = importlib.util.spec_from_file_location("fakeids", Path(__file__).with_name("fakeids.py"))
        assert beside is not None and beside.loader is not None  # noqa: S101 (for the type checker: it is a file)
        fakeids = importlib.util.module_from_spec(beside)
        beside.loader.exec_module(fakeids)
        fakeids.install()
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("none", "/run", "tmpfs", 0, "mode=755,size=4m")
        command("ip", "link", "set", "lo", "up")
        if Path("/etc/pam.d/frr").exists():  # vtysh asks PAM who we are
            (self.folder / "pam").write_text(
                "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n"
            )
            mount(str(self.folder / "pam"), "/etc/pam.d/frr", None, MS_BIND)
        # refused where the container's own /proc is covered in places
        return libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID_NODEV_NOEXEC, None) == 0

    # --- what can be asked for ---

    def holder(self, name: str) -> int:
        """The process that holds a node's namespaces."""
        if name not in self.nodes:
            raise Refused(f"there is no node {name!r}")
        return self.nodes[name]

    def make_node(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A node: network, mounts and host name of its own. forward: it passes packets on."""
        name = asked["name"]
        if name in self.nodes:
            raise Refused(f"there is a node {name!r} already")
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.hold(name, bool(asked["forward"]), tell)
        os.close(tell)
        with os.fdopen(told, "rb") as words:
            said = words.read()
        if said != b"ready":
            raise Refused(said.decode(errors="replace") or "the node's process ended")
        self.nodes[name] = pid
        return {}

    def hold(self, name: str, forward: bool, tell: int) -> NoReturn:
        """Be the process that holds a node."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (0, 1):
                os.dup2(self.null, number)
            check(libc.unshare(NEW_NET | NEW_NS | NEW_UTS), "unshare")
            socket.sethostname(name)
            mount("none", "/", None, MS_REC | MS_PRIVATE)
            for path in OWN_FOLDERS:
                if Path(path).is_dir():
                    mount("none", path, "tmpfs", 0, "mode=755,size=8m")
            own = self.folder / name
            (own / "frr").mkdir(parents=True)
            Path("/run/frr").mkdir()
            if Path("/etc/frr").is_dir():
                for file in ("vtysh.conf", "frr.conf"):
                    (own / "frr" / file).touch()
                mount(str(own / "frr"), "/etc/frr", None, MS_BIND)
            texts = {"resolv.conf": "", "hosts": f"127.0.0.1 localhost {name}\n", "hostname": f"{name}\n"}
            for file, text in texts.items():
                (own / file).write_text(text)
                if Path("/etc", file).exists():
                    mount(str(own / file), f"/etc/{file}", None, MS_BIND)
            command("ip", "link", "set", "lo", "up")
            if self.proc:
                settings = {
                    "ipv4/ip_forward": f"{forward:d}",
                    "ipv6/conf/all/forwarding": f"{forward:d}",
                    "ipv4/ping_group_range": "0 0",
                    "ipv4/icmp_ratelimit": "0",  # traceroute asks for many answers at once
                }
                for key, value in settings.items():
                    Path("/proc/sys/net", key).write_text(value)
            os.write(tell, b"ready")
            os.closerange(3, 1024)
            os.execv("/bin/sleep", [f"ictlab-net:{name}", "infinity"])  # noqa: S606 (no shell, on purpose)
        except BaseException as error:
            os.write(tell, str(error).encode()[:LONGEST_ERROR])
        finally:
            os._exit(1)

    def make_link(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A cable between two nodes: `ends` are two of {node, interface, bridge or null}."""
        one, two = asked["ends"]
        command(
            "ip", "link", "add", "name", one["interface"], "netns", str(self.holder(one["node"])), "type", "veth",
            "peer", "name", two["interface"], "netns", str(self.holder(two["node"])),
        )  # fmt: skip
        for end in (one, two):
            lines = [f"link set dev {end['interface']} up"]
            if end["bridge"]:
                lines.insert(0, f"link set dev {end['interface']} master {end['bridge']}")
            self.run_now(end["node"], ["ip", "-batch", "-"], "\n".join(lines))
        return {}

    def run_now(self, node: str, argv: list[str], text: str) -> None:
        """Run a command in a node to its end, with `text` on its standard input."""
        ours, its = os.pipe()
        os.write(its, text.encode())
        os.close(its)
        said, says = os.pipe()  # what it says is short, and fits
        try:
            pid = self.start(node, argv, [ours, says, says], "/", {})
            if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                os.set_blocking(said, False)
                words = os.read(said, LONGEST_ERROR).decode(errors="replace").strip()
                raise Refused(f"{node}: {' '.join(argv)} ended with {code}: {words}")
        finally:
            for end in (ours, said, says):
                os.close(end)

    def start(self, node: str, argv: list[str], fds: list[int], cwd: str, env: dict[str, str]) -> int:
        """Start a command in a node, in a session of its own."""
        namespaces = os.pidfd_open(self.holder(node))
        pid = os.fork()
        if pid:
            os.close(namespaces)
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            check(libc.setns(namespaces, NEW_NET | NEW_NS | NEW_UTS), "setns")
            high = [os.dup(fd) for fd in fds]  # none of them is below 3 in the way of another
            for number, fd in enumerate(high):
                os.dup2(fd, number)
            os.closerange(3, 1024)
            with contextlib.suppress(OSError):
                os.chdir(cwd)
            os.execvpe(argv[0], argv, {**os.environ, **env})  # noqa: S606 (the caller's own words)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)

    # --- the loop ---

    def serve(self) -> NoReturn:
        """Answer until standard input closes."""
        self.listener.bind(str(self.path))
        self.path.chmod(0o600)
        self.listener.listen(64)
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the command in the notebook
        for end, what in ((0, "over"), (self.listener, "asked"), (wake, "ended")):
            self.events.register(end, selectors.EVENT_READ, what)
        while True:
            for key, _ in self.events.select():
                if key.data == "over":
                    if not os.read(0, 100):
                        os._exit(0)
                elif key.data == "asked":
                    self.answer(self.listener.accept()[0])
                elif key.data == "ended":
                    os.read(wake, 4096)
                else:
                    self.hang_up(key.data)
            self.bury()

    def answer(self, asker: socket.socket) -> None:
        """Do one request."""
        fds: list[int] = []
        try:
            line, fds, _, _ = socket.recv_fds(asker, 1 << 20, 3)
            while line and not line.endswith(b"\n"):
                more = asker.recv(1 << 20)
                if not more:
                    raise Refused("the request was not whole")
                line += more
            if not line:
                raise Refused("an empty request")
            asked = json.loads(line)
            if asked["op"] == "run":
                pid = self.start(asked["node"], asked["argv"], fds, asked["cwd"], asked["env"])
                self.running[pid] = asker
                self.events.register(asker, selectors.EVENT_READ, pid)
            else:
                self.tell(asker, self.operations[asked["op"]](asked))
        except (Refused, OSError, KeyError, ValueError) as error:
            self.tell(asker, {"error": str(error) or repr(error)})
        finally:
            for fd in fds:
                os.close(fd)

    def tell(self, asker: socket.socket, said: dict[str, Any]) -> None:
        """Answer and hang up."""
        with contextlib.suppress(OSError):
            asker.sendall(json.dumps(said).encode() + b"\n")
        asker.close()

    def hang_up(self, pid: int) -> None:
        """Who waited for a command is gone: end it, and what it started in its session."""
        asker = self.running.pop(pid, None)
        if asker is not None:
            self.events.unregister(asker)
            asker.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def bury(self) -> None:
        """Collect what has ended: commands, and the daemons that became our children."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                asker = self.running.pop(ended[0], None)
                if asker is not None:
                    self.events.unregister(asker)
                    self.tell(asker, {"code": os.waitstatus_to_exitcode(ended[1])})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    Helper(folder, Path(sys.argv[2]) if len(sys.argv) > 2 else folder / "socket").serve()
