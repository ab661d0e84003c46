"""Run one command inside namespaces: the inner wall. This file knows how; it needs nothing but Linux and Python.

    python3 jail.py SPEC          SPEC: a file with a JSON object, or `-` for one on standard input

Secrets belong in the file or on standard input, never in argv: anybody may read a process's argv.
Keys of the object (only argv is required; an unknown key is an error):

argv         the command, as seen inside. Looked up on the PATH of `env`.
env          its whole environment; nothing is inherited. HOME, USER, PATH, LANG are filled in when missing.
cwd          where it starts: default `home`/work when there is `work`, else `home`.
uid, gid     who it is inside (1000, 1000). With CAP_SETUID, SETGID and SETFCAP outside, ids 0-65535 inside are
             those outside; otherwise this one id is the caller's own, all others are `nobody`, and the caller's
             further groups stay with the command.
user, home   its name and home folder ("student", "/home/student"); both appear in a private /etc/passwd.
ro           outside paths that appear inside at the same place, read-only (DEFAULT_RO). Missing ones are left out.
rw           {inside path: outside path} that appear writable.
hide         paths below `ro` that are covered by an empty folder.
work         outside folder that is copied to `home`/work; nothing is ever written back.
bundle       descriptor of a tar file of plain files that is unpacked there instead.
keep         descriptors that are for the command alone. These two are for callers in this process (zygote.py).
files        {inside path: text} laid down before the start, owned by the command.
disk_mb      all that may be written to home, /tmp, /var/tmp, /run, /dev/shm together (64). It is memory.
memory_mb, pids, wall_s   limits of everything inside together; null, the default, means none.
file_mb      the largest file that may be written; 0, the default, means any size.
watch_s      how often memory and pids are looked at (0.05); servers that live long want about 1.
nofile       open files of one process (4096).
share_net    keep the outside's network (false: a network of its own with nothing but loopback).
nested       let it make namespaces of its own, for network labs (false).
sockets      folder of this run alone, the same path on both sides, writable until `sockets_count` (5) sockets
             lie in it; then it is made read-only inside and a file `sealed` appears in it.
output       outside file that takes standard output and error, at most `output_kb` (1024), the rest is dropped;
             null, the default: both are inherited and unbounded.
report       outside file that takes JSON lines: {"started": true}, then {"code": n, "reason": r} or
             {"error": "..."}; r: exited killed memory time pids disk. Without it errors go to standard error.
outlive_parent   false: when the process that started this one ends, everything inside ends.
grace_s      on SIGTERM the command gets SIGTERM, and everything inside is killed after this time (0: at once).

SIGINT is handed to the command alone. The exit code is the command's (128+n after signal n), or 125 when the
walls could not be built. However it ends, no process of the inside is left.

Inside: a root of its own, /proc of its own processes, no /sys, a small /dev, no setuid, no capabilities, a system call
filter. Process 1 is this file's `keep_watch`; the one outside is `stand_guard`.
Longer than our files usually are because it is mounted, alone, into containers of any image.
"""

# Paths are strings here, as mount(2) takes them; /tmp is a place in a mount namespace of our own:
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH118, PTH120, PTH208, PTH211, S103, S108

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

DEFAULT_RO = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"]
DEFAULTS: dict[str, Any] = {
    "argv": [], "env": {}, "cwd": None, "uid": 1000, "gid": 1000, "user": "student", "home": "/home/student",
    "ro": DEFAULT_RO, "rw": {}, "hide": [], "work": None, "bundle": None, "keep": [], "files": {}, "disk_mb": 64, "memory_mb": None,
    "pids": None, "wall_s": None, "file_mb": 0, "watch_s": 0.05, "nofile": 4096, "share_net": False, "nested": False,
    "sockets": None, "sockets_count": 5, "output": None, "output_kb": 1024, "report": None,
    "outlive_parent": False, "grace_s": 0,
}  # fmt: skip
NEW_NS, NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
SYS_MOUNT_SETATTR = 442
MACHINES: dict[str, tuple[int, int, list[int]]] = {
    # machine: its AUDIT_ARCH, its pivot_root, and the calls the command may not make:
    # keyctl add_key request_key (keys of the same uid outside), bpf perf_event_open userfaultfd io_uring_setup
    # (they break kernels and no lab needs them), memfd_create memfd_secret (memory nobody could count)
    "x86_64": (0xC000003E, 155, [250, 248, 249, 321, 298, 323, 425, 319, 447]),
    "aarch64": (0xC00000B7, 41, [219, 217, 218, 280, 241, 282, 425, 279, 447]),
}
libc = ctypes.CDLL(None, use_errno=True)
Act = Callable[[dict[str, Any]], NoReturn]
Mapper = Callable[[Callable[[], None]], int]


class JailError(Exception):
    """The walls could not be built; the message says which step failed and what usually helps."""


HINTS = {
    errno.EPERM: "a seccomp profile, AppArmor or kernel.unprivileged_userns_clone=0 forbids it",
    errno.EACCES: "AppArmor or the folder's permissions forbid it",
    errno.ENOSPC: "user.max_user_namespaces is 0, or the files are larger than disk_mb",
    errno.ENOSYS: "Linux 5.12 or newer is needed",
    errno.EINVAL: "this kernel lacks the feature",
}


def check(result: int, step: str) -> None:
    """Turn a C call's -1 into a JailError that names the step."""
    if result == -1:
        number = ctypes.get_errno()
        raise JailError(
            f"{step}: {os.strerror(number)}. Perhaps {HINTS.get(number, 'the kernel log says more')}."
        )


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    check(
        libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, data.encode()),
        f"mount {kind or source} on {target}",
    )


def protect(target: str, attributes: int, recursive: bool = True) -> None:
    """Add mount attributes, to everything mounted below as well: bind mounts alone would leave those open."""
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    flags = 0x8000 if recursive else 0
    result = libc.syscall(SYS_MOUNT_SETATTR, -100, target.encode(), flags, wanted, len(wanted))
    check(result, f"protect {target}")


def machine() -> tuple[int, int, list[int]]:
    """Return the numbers of this machine's system calls."""
    try:
        return MACHINES[os.uname().machine]
    except KeyError:
        raise JailError(
            f"processor {os.uname().machine} is not known. Known: {', '.join(MACHINES)}."
        ) from None


# --- The room: everything here runs as process 1 of the new namespaces ---


def build_room(spec: dict[str, Any], identity: bool) -> int | None:
    """Build the new root and move into it. Returns a descriptor of the sockets folder as seen from outside."""
    ro = [(path, os.path.realpath(path), os.path.islink(path)) for path in spec["ro"] if os.path.exists(path)]
    rw = {inside: os.path.realpath(outside) for inside, outside in spec["rw"].items()}
    if spec["sockets"]:
        rw[spec["sockets"]] = os.path.realpath(spec["sockets"])
    work = os.path.realpath(spec["work"]) if spec["work"] else None
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    size = spec["disk_mb"]
    mount(
        "tmpfs",
        "/tmp",
        "tmpfs",
        MS_NOSUID | MS_NODEV,
        f"size={size}m,nr_inodes={1024 + size * 256},mode=0755",
    )
    for name in ("/tmp/new", "/tmp/old", "/tmp/scratch"):
        os.mkdir(name)
    pivot("/tmp", "/tmp/old")
    mount("/new", "/new", None, MS_BIND)
    owner = (spec["uid"], spec["gid"])
    for inside, mode in ((spec["home"], 0o755), ("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/run", 0o755)):
        lay_scratch(inside, mode, owner if mode == 0o755 else (0, 0), identity)
    for path, real, link in sorted(ro, key=lambda entry: len(entry[0])):
        if link and os.path.dirname(path) == "/":
            os.symlink(os.readlink("/old" + path), "/new" + path)  # /bin -> usr/bin
        else:
            bind("/old" + real, "/new" + path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
    for inside, real in sorted(rw.items(), key=lambda entry: len(entry[0])):
        bind("/old" + real, "/new" + inside, ATTR_NOSUID | ATTR_NODEV)
    for path in spec["hide"]:
        if os.path.isdir("/new" + path):
            mount("tmpfs", "/new" + path, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=2,mode=0555")
            protect("/new" + path, ATTR_RDONLY)
    os.symlink("/run", "/new/var/run")  # where programs of the last century look for it
    lay_devices(identity)
    mount("proc", make_folder("/new/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    lay_names(spec)
    if work:
        lay_work("/old" + work, f"/new{spec['home']}/work", owner, identity)
    if spec["bundle"] is not None:
        lay_bundle(spec["bundle"], f"/new{spec['home']}/work", owner, identity)
    lay_files(spec["files"], owner, identity)
    outside = os.open("/old" + rw[spec["sockets"]], os.O_RDONLY | os.O_DIRECTORY) if spec["sockets"] else None
    protect("/new", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, recursive=False)
    pivot("/new", "/new")
    # MNT_DETACH: what the pivot stacked below this root goes, and /old with it
    check(libc.umount2(b"/", 2), "leave the outside")
    os.chdir("/")
    return outside


def pivot(new: str, old: str) -> None:
    """pivot_root(2)."""
    check(libc.syscall(machine()[1], new.encode(), old.encode()), f"pivot_root to {new}")
    os.chdir("/")


def make_folder(path: str) -> str:
    """Make a folder and its parents; ours are 0755 whatever the umask was."""
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


def lay_scratch(inside: str, mode: int, owner: tuple[int, int], identity: bool) -> None:
    """Offer a writable folder: all of them lie in one tmpfs and so share its size."""
    source = "/scratch" + inside
    make_folder(source)
    if identity:
        os.chown(source, *owner)
    os.chmod(source, mode)
    mount(source, make_folder("/new" + inside), None, MS_BIND)


def bind(source: str, target: str, attributes: int) -> None:
    """Bind a folder or file where it is not there already through one of its parents."""
    if not os.path.exists(target):
        if os.path.isdir(source):
            make_folder(target)
        else:
            make_folder(os.path.dirname(target))
            Path(target).touch()
    mount(source, target, None, MS_BIND | MS_REC)
    protect(target, attributes)


def lay_devices(identity: bool) -> None:
    """Make the /dev that programs expect: no disk, no memory, no terminal of the outside."""
    make_folder("/new/dev/pts")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        Path(f"/new/dev/{name}").touch()
        mount(f"/old/dev/{name}", f"/new/dev/{name}", None, MS_BIND)
    mount("devpts", "/new/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
    links |= {name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
    for name, target in links.items():
        os.symlink(target, f"/new/dev/{name}")
    lay_scratch("/dev/shm", 0o1777, (0, 0), identity)


def lay_names(spec: dict[str, Any]) -> None:
    """Give the command's ids a name: a private /etc/passwd and /etc/group over the real ones."""
    uid, gid, user = spec["uid"], spec["gid"], spec["user"]
    mine = {"passwd": f"{user}:x:{uid}:{gid}::{spec['home']}:/bin/bash", "group": f"{user}:x:{gid}:"}
    for name, line in mine.items():
        target = f"/new/etc/{name}"
        if not os.path.exists(target):
            continue
        others = [
            other
            for other in Path(target).read_text(encoding="utf-8", errors="replace").splitlines()
            if other.split(":")[0] != user
            and other.split(":")[2:3] != [str(uid if name == "passwd" else gid)]
        ]
        lay_text("\n".join([*others, line, ""]), name)
    if not spec["share_net"]:  # the outside's may be empty, and its other names lead nowhere in here
        lay_text("127.0.0.1 localhost\n::1 localhost\n", "hosts")


def lay_text(text: str, name: str) -> None:
    """Lay a file over /etc/NAME, if there is one."""
    source, target = f"/scratch/{name}", f"/new/etc/{name}"
    if os.path.exists(target):
        Path(source).write_text(text, encoding="utf-8")
        os.chmod(source, 0o644)
        bind(source, target, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)


def lay_work(source: str, target: str, owner: tuple[int, int], identity: bool) -> None:
    """Copy the working folder: links stay links, and what is neither file, folder nor link is left behind."""

    def special(folder: str, names: list[str]) -> list[str]:
        modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
        return [n for n, m in modes.items() if not (stat.S_ISREG(m) or stat.S_ISDIR(m) or stat.S_ISLNK(m))]

    try:
        shutil.copytree(source, target, symlinks=True, ignore=special)
    except (OSError, shutil.Error) as error:
        raise JailError(f"copy the working folder: {error}. Perhaps disk_mb is too small for it.") from error
    os.chmod(target, 0o755)
    if identity:
        for folder, folders, files in os.walk(target):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(folder, name), *owner, follow_symlinks=False)


def lay_bundle(bundle: int, target: str, owner: tuple[int, int], identity: bool) -> None:
    """Unpack the working folder from a tar file that our own side made: plain files and nothing else."""
    import tarfile

    os.mkdir(target, 0o755)
    folders = {target}
    try:
        with os.fdopen(bundle, "rb") as source, tarfile.open(fileobj=source, mode="r:") as archive:
            for entry in archive:
                path = os.path.normpath(os.path.join(target, entry.name))
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None or not path.startswith(target + "/"):
                    raise JailError(f"the bundle has {entry.name!r}, which is no file of a working folder.")
                folder = os.path.dirname(path)
                while folder not in folders:
                    folders.add(folder)
                    folder = os.path.dirname(folder)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with Path(path).open("xb") as copy:
                    shutil.copyfileobj(content, copy)
                if identity:
                    os.chown(path, *owner)
    except (OSError, tarfile.TarError) as error:
        raise JailError(f"lay the working folder: {error}. Perhaps disk_mb is too small for it.") from error
    if identity:
        for folder in folders:
            os.chown(folder, *owner)


def lay_files(files: dict[str, str], owner: tuple[int, int], identity: bool) -> None:
    """Write the named files; their folders must be writable ones of the room."""
    for inside, text in files.items():
        target = Path("/new" + inside)
        target.write_text(text, encoding="utf-8")
        target.chmod(0o600)
        if identity:
            os.chown(target, *owner)


def raise_loopback() -> None:
    """Bring `lo` up: the new network has nothing else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, UP and RUNNING


# --- The command ---


def give_up_powers(spec: dict[str, Any], identity: bool, output: int | None) -> None:
    """Become the submission: no capabilities, no way to get any, limits, the filter, the working folder."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number, source in ((0, null), (1, output), (2, output)):
        if source is not None:
            os.dup2(source, number)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = spec["nofile"] if most == resource.RLIM_INFINITY else min(most, spec["nofile"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec["file_mb"]:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        size = spec["file_mb"] * 2**20
        size = size if most == resource.RLIM_INFINITY else min(most, size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if spec["pids"]:
        count = (
            spec["pids"] + 32
        )  # above `pids`: process 1 must see the limit broken, the kernel holds the rest
        resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # past the last one it fails, which is fine
    if identity:
        os.setgroups([spec["gid"]])
        os.setresgid(*[spec["gid"]] * 3)
        os.setresuid(*[spec["uid"]] * 3)
    none = (ctypes.c_uint32 * 6)()
    check(libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), none), "drop capabilities")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    filter_calls()
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.chdir(spec["cwd"])
    except OSError as error:
        raise JailError(f"cwd {spec['cwd']}: {error.strerror} inside. Name a folder of the room.") from error


def become_command(spec: dict[str, Any]) -> NoReturn:
    """Turn into the command."""
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606  (no shell, on purpose)


def filter_calls() -> None:
    """Refuse the calls of MACHINES, and any call by another machine's numbers, with EPERM."""
    arch, _, denied = machine()
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    refuse = len(denied) + 5  # the index of the last step
    code = [(load, 0, 0, 4), (equal, 0, refuse - 2, arch)]
    code += [(load, 0, 0, 0), (at_least, refuse - 4, 0, 0x40000000)]  # x32's second set of numbers
    code += [(equal, refuse - at - 1, 0, number) for at, number in enumerate(denied, start=4)]
    code += [(answer, 0, 0, 0x7FFF0000), (answer, 0, 0, 0x50000 | errno.EPERM)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
    header = struct.pack("H6xP", len(code), ctypes.addressof(program))
    check(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0), "filter system calls")


# --- Process 1 inside ---


def keep_watch(
    spec: dict[str, Any], identity: bool, *, report: int, output: int | None, go: int, act: Act
) -> NoReturn:
    """Be process 1: build the room, start the command, reap, watch the limits; everything ends with this.

    act: what the command's process does once it has no powers left.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        if not os.read(go, 1):
            os._exit(125)  # the guard outside was gone before it could be watched
        if not spec["share_net"]:
            raise_loopback()
        socket.sethostname("lab")
        outside = build_room(spec, identity)
        if not spec["nested"]:
            Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
        child = start_command(spec, identity, output, act)
        for end in spec["keep"]:
            os.close(end)
        say(report, {"started": True})
        result = reap(spec, child, outside)
    except (JailError, OSError) as error:
        result = {"error": str(error)}
    say(report, result)
    os._exit(0)


def start_command(spec: dict[str, Any], identity: bool, output: int | None, act: Act) -> int:
    """Fork the command; return when it runs. What cannot be executed ends with 127, as in a shell."""
    running, failed = os.pipe()
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody inside reads or traces process 1
    child = os.fork()
    if child == 0:
        try:
            give_up_powers(spec, identity, output)
            if act is not become_command:
                os.close(failed)  # which exec does by itself
            act(spec)
        except JailError as error:
            os.write(failed, str(error).encode())
        except OSError as error:
            os.write(2, f"{spec['argv'][0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)
    os.close(failed)
    fault = os.read(running, 4096)
    os.close(running)
    if fault:
        raise JailError(fault.decode())
    return child


def reap(spec: dict[str, Any], child: int, outside: int | None) -> dict[str, Any]:
    """Bury processes and look at the limits until the command ends or breaks one."""
    handled = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM}
    look = 0.0
    while True:
        now = time.monotonic()
        if now >= look:  # by the clock: a flood of signals must not put it off
            if outside is not None and seal(spec, outside):
                os.close(outside)
                outside = None
            if broken := breach(spec):
                return {"code": 137, "reason": broken}
            look = time.monotonic() + (0.005 if outside is not None else spec["watch_s"])
        caught = signal.sigtimedwait(handled, max(look - now, 0))
        if caught is None:
            continue
        if caught.si_signo != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, caught.si_signo)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return {"code": 125, "reason": "killed"}
            if pid == 0:
                break
            if pid == child:
                return verdict(status)


def verdict(status: int) -> dict[str, Any]:
    """Say how the command ended by itself."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return {"code": 128 - code, "reason": "killed"}
    room = os.statvfs("/tmp")
    full = room.f_bfree * room.f_frsize < 65536 or room.f_ffree < 2
    return {"code": code, "reason": "disk" if code and full else "exited"}


def seal(spec: dict[str, Any], outside: int) -> bool:
    """Make the sockets folder read-only once the sockets are there: before that only trusted code has run."""
    names = os.listdir(outside)
    modes = [os.stat(name, dir_fd=outside, follow_symlinks=False).st_mode for name in names]
    if sum(map(stat.S_ISSOCK, modes)) < spec["sockets_count"]:
        return False
    protect(spec["sockets"], ATTR_RDONLY | ATTR_NOEXEC)
    os.close(os.open("sealed", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=outside))
    return True


def breach(spec: dict[str, Any]) -> str | None:
    """Name the limit that the inside as a whole has broken, if any."""
    most_bytes, most_tasks = (spec["memory_mb"] or 0) << 20, spec["pids"]
    if not (most_bytes or most_tasks):
        return None
    processes = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    tasks = pages = 0
    for name in processes:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            tasks += int(fields[17])
            pages += int(fields[21])
    if most_tasks and tasks > most_tasks:
        return "pids"
    if not most_bytes or pages * resource.getpagesize() + unmapped_bytes() <= most_bytes:
        return None
    # pages that processes share were counted for each: look again, exactly, which takes longer
    return "memory" if sum(map(proportional_bytes, processes)) + unmapped_bytes() > most_bytes else None


def unmapped_bytes() -> int:
    """Return the memory that files of the room and System V segments take."""
    room = os.statvfs("/tmp")
    used = (room.f_blocks - room.f_bfree) * room.f_frsize
    for line in Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]:
        used += int(line.split()[14])
    return used


def proportional_bytes(process: str) -> int:
    """Return a process's own memory plus its share of what it shares; files of the image are not its own."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return 0  # it has just ended
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (fields["Pss_Anon"] + fields["Pss_Shmem"] + fields["SwapPss"]) << 10


# --- Outside ---


def stand_guard(
    spec: dict[str, Any],
    report: int | None,
    act: Act = become_command,
    control: int | None = None,
    mapped: Mapper | None = None,
) -> int:
    """Make the namespaces, fork process 1, keep time, pass signals and output on. Returns the exit code.

    act: see keep_watch. control: a descriptor to listen to: `I` interrupts the command, its end ends everything.
    mapped: has the ids mapped from outside; by default a child of this process does it.
    """
    identity = may_map_ids()
    output = os.open(spec["output"], os.O_WRONLY | os.O_APPEND) if spec["output"] else None
    pidfd = None
    if not spec["outlive_parent"] and os.getppid():
        pidfd = os.pidfd_open(os.getppid())
    with contextlib.suppress(OSError):  # if the machine runs out of memory, the inside goes first
        Path("/proc/self/oom_score_adj").write_text("300", encoding="ascii")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD})
    kills = open_kills_for_memory()
    make_namespaces(spec, identity, mapped or mapped_by_child)
    says, tell = os.pipe()
    printed, printer = os.pipe() if output is not None else (None, None)
    go, start = os.pipe()
    init = os.fork()
    if init == 0:
        for end in {start, says, report, control, kills}:
            if end is not None:
                os.close(end)
        keep_watch(spec, identity, report=tell, output=printer, go=go, act=act)
    for end in {tell, printer, go, spec["bundle"], *spec["keep"]}:
        if end is not None:
            os.close(end)
    os.write(start, b"1")
    guard = Guard(
        spec,
        init,
        says=says,
        printed=printed,
        output=output,
        parent=pidfd,
        report=report,
        control=control,
        kills=kills,
    )
    return guard.stand()


def open_kills_for_memory() -> int | None:
    """Open the kernel's count of processes killed for memory in this container; what is open outlives the pivot."""
    for name in ("memory.events", "memory/memory.oom_control"):  # cgroup 2, cgroup 1
        with contextlib.suppress(OSError):
            return os.open(f"/sys/fs/cgroup/{name}", os.O_RDONLY)
    return None


def count_kills_for_memory(kills: int | None) -> int:
    """Read that count, which the kernel raises before it sends the signal."""
    if kills is None:
        return 0
    lines = os.pread(kills, 4096, 0).decode("ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def may_map_ids() -> bool:
    """Say whether this process may give the inside a range of ids rather than its own alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    powers = int(status.split("CapEff:")[1].split()[0], 16)
    inside, _, count = map(int, Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:3])
    needed = 1 << 6 | 1 << 7 | 1 << 31  # SETGID, SETUID; SETFCAP since the range has id 0 in it
    return os.geteuid() == 0 and powers & needed == needed and inside == 0 and count >= 65536


def make_namespaces(spec: dict[str, Any], identity: bool, mapped: Mapper) -> None:
    """Unshare, and let `mapped` have the ids mapped from outside."""
    flags = (
        NEW_USER | NEW_NS | NEW_PID | NEW_IPC | NEW_UTS | NEW_CGROUP | (0 if spec["share_net"] else NEW_NET)
    )
    uid, gid = os.geteuid(), os.getegid()
    if identity:
        number = mapped(lambda: check(libc.unshare(flags), "make namespaces"))
    else:
        check(libc.unshare(flags), "make namespaces")
        number = map_ids("self", f"{spec['uid']} {uid} 1", f"{spec['gid']} {gid} 1")
    if number:
        raise JailError(
            f"map ids: {os.strerror(number)}. Perhaps {HINTS.get(number, 'the kernel log says more')}."
        )


def map_ids(pid: int | str, uids: str = "0 0 65536", gids: str = "0 0 65536") -> int:
    """Write the id maps of a process that has just unshared. Returns 0 or an errno."""
    try:
        if uids.endswith(" 1"):
            Path(f"/proc/{pid}/setgroups").write_text("deny", encoding="ascii")
        Path(f"/proc/{pid}/uid_map").write_text(uids, encoding="ascii")
        Path(f"/proc/{pid}/gid_map").write_text(gids, encoding="ascii")
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def mapped_by_child(unshare: Callable[[], None]) -> int:
    """Run `unshare` and have a child that stays outside write the id maps, as only it has the power to."""
    ready, unshared = os.pipe()
    me = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        os.close(unshared)
        os._exit(map_ids(me) if os.read(ready, 1) else 0)
    try:
        unshare()
        os.write(unshared, b"1")
    finally:
        os.close(unshared)
        os.close(ready)
        number = os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1])
    return number


class Guard:
    """The process outside: sees time, signals, the parent's end and the output; process 1 sees the rest."""

    def __init__(
        self,
        spec: dict[str, Any],
        init: int,
        *,
        says: int,
        printed: int | None,
        output: int | None,
        parent: int | None,
        report: int | None,
        control: int | None,
        kills: int | None,
    ) -> None:
        self.spec, self.init, self.says, self.printed = spec, init, says, printed
        self.kills, self.killed_before = kills, count_kills_for_memory(kills)
        self.output, self.parent, self.report, self.control = output, parent, report, control
        self.room_left = spec["output_kb"] << 10
        self.heard = b""
        self.reason: str | None = None
        self.deadline = time.monotonic() + spec["wall_s"] if spec["wall_s"] else None

    def stand(self) -> int:
        """Serve until process 1 is gone; then report."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sent, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        poll = select.poll()
        for end in (self.says, self.printed, wake, self.parent, self.control):
            if end is not None:
                poll.register(end, select.POLLIN)
        while True:
            left = None if self.deadline is None else max(self.deadline - time.monotonic(), 0) * 1000
            events = poll.poll(left)
            if not events and left is not None and self.deadline and time.monotonic() >= self.deadline:
                self.end(self.reason or "time")
            for end, _ in events:
                if end == wake:
                    for number in os.read(wake, 64):
                        self.handle(number)
                elif end == self.says:
                    if not self.listen():
                        return self.finish()
                elif not self.attend(end):
                    poll.unregister(end)

    def attend(self, end: int) -> bool:
        """Serve the output, the parent or the control that has something to say; False when it is over."""
        if end == self.printed:
            return self.pass_output()
        if end == self.control and os.read(end, 1) == b"I":
            self.handle(signal.SIGINT)
            return True
        self.end("killed")
        return False

    def handle(self, number: int) -> None:
        """Hand SIGINT on; let SIGTERM and SIGHUP end everything, at once or after the grace."""
        if number == signal.SIGINT:
            os.kill(self.init, signal.SIGINT)
        elif number in (signal.SIGTERM, signal.SIGHUP):
            if self.spec["grace_s"] and self.reason is None:
                self.reason = "killed"
                self.deadline = time.monotonic() + self.spec["grace_s"]
                os.kill(self.init, signal.SIGTERM)
            else:
                self.end("killed")

    def end(self, reason: str) -> None:
        """Kill process 1 and, by that, everything inside."""
        self.reason, self.deadline = reason, None
        os.kill(self.init, signal.SIGKILL)

    def listen(self) -> bool:
        """Take what process 1 says; False when it has ended."""
        data = os.read(self.says, 4096)
        self.heard += data
        while data and b"\n" in self.heard and json.loads(self.heard.split(b"\n")[0]).get("started"):
            started, _, self.heard = self.heard.partition(b"\n")
            if self.report is not None:
                os.write(self.report, started + b"\n")
        return bool(data)

    def pass_output(self) -> bool:
        """Keep what fits of the output and drop the rest; False at its end."""
        assert self.printed is not None and self.output is not None  # noqa: S101  (narrows the types)
        data = os.read(self.printed, 1 << 16)
        if self.room_left:
            self.room_left -= os.write(self.output, data[: self.room_left])
        return bool(data)

    def finish(self) -> int:
        """Bury process 1, take the last output, report."""
        os.waitpid(self.init, 0)  # returns when every process of the namespace is gone
        while self.printed is not None and self.pass_output():
            pass
        last = json.loads(self.heard) if self.heard.endswith(b"\n") else {"code": 137, "reason": "killed"}
        if self.reason and "error" not in last:
            last["reason"] = self.reason
        elif last.get("reason") == "killed" and count_kills_for_memory(self.kills) > self.killed_before:
            last["reason"] = "memory"  # the container's limit was met before process 1 looked again
        return conclude(self.report, last)


def say(end: int, what: dict[str, Any]) -> None:
    """Write one JSON line."""
    os.write(end, json.dumps(what).encode() + b"\n")


def conclude(report: int | None, last: dict[str, Any]) -> int:
    """Report the end and return the exit code."""
    if report is not None:
        say(report, last)
    elif "error" in last:
        os.write(2, f"jail: {last['error']}\n".encode())
    return int(last.get("code", 125))


def read_spec(source: str) -> dict[str, Any]:
    """Read and complete the object that the docstring above describes."""
    given: Any = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    if not isinstance(given, dict):
        raise JailError("the spec is not a JSON object.")
    return complete(given)


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """Fill in what is missing."""
    if unknown := set(given) - set(DEFAULTS):
        raise JailError(f"unknown key {', '.join(sorted(unknown))}. Known: {', '.join(DEFAULTS)}.")
    spec: dict[str, Any] = DEFAULTS | given
    if not spec["argv"]:
        raise JailError("argv is missing. Name the command to run.")
    spec["env"] = {"HOME": spec["home"], "USER": spec["user"], "LANG": "C.UTF-8"} | spec["env"]
    spec["env"].setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    has_work = spec["work"] or spec["bundle"] is not None
    spec["cwd"] = spec["cwd"] or spec["home"] + ("/work" if has_work else "")
    return spec


def probe() -> dict[str, Any]:
    """Try a jail here. Returns {"works": bool, "ids": "range" | "one", "why": "" or what is in the way}."""
    import subprocess

    command = [sys.executable, "-I", "-S", __file__, "-"]
    tried = subprocess.run(
        command, check=False, input=json.dumps({"argv": ["true"]}), capture_output=True, text=True, timeout=30
    )
    ids = "range" if may_map_ids() else "one"
    return {"works": tried.returncode == 0, "ids": ids, "why": tried.stderr.strip()}


def main() -> int:
    """Run the command of the spec that argv names."""
    if len(sys.argv) != 2:
        sys.stderr.write(__doc__ or "")
        return 2
    os.closerange(3, 1 << 20)
    os.umask(0o022)
    report = None
    try:
        spec = read_spec(sys.argv[1])
        report = os.open(spec["report"], os.O_WRONLY | os.O_APPEND) if spec["report"] else None
        return stand_guard(spec, report)
    except (JailError, OSError, ValueError) as error:
        return conclude(report, {"error": str(error)})


if __name__ == "__main__":
    sys.exit(main())
