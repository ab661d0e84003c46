"""Attacks from inside every sandbox. Each proves that it ran, and that the same succeeds where there is no wall."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.ownership import site_uid
from grader.sandbox.base import Command, Exit, Sandbox

Make = Callable[..., Command]
Inside = Callable[..., tuple[Exit, str]]

# What attacks share: try something, tell the errno (0: it worked).
TRY = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action, *arguments):
    try: action(*arguments)
    except OSError as error: return error.errno
    return 0
def call(function, *arguments):
    ctypes.set_errno(0)
    return ctypes.get_errno() if function(*arguments) == -1 else 0
"""


def tried(inside: Inside, code: str) -> dict[str, int]:
    """Run an attack that prints one JSON object."""
    ended, said = inside(TRY + code)
    assert ended == Exit(0, "exited"), said
    return dict(json.loads(said))


@pytest.fixture
def marked(tmp_path: Path) -> tuple[str, list[Path]]:
    """Files as the server holds them, with a word in them and readable by all: the walls must do it alone."""
    mark = f"swordfish-{uuid.uuid4().hex}"
    places = [
        "courses/ict101/gradebook.db",
        "courses/ict101/source/lab/lab.ipynb",
        "submitted/bob/lab/lab.ipynb",
    ]
    files = [tmp_path / mark / place for place in places]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(mark)
        file.chmod(0o644)
    for folder in tmp_path.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o755)
    return mark, files


def test_other_submissions_gradebook_and_hidden_tests_are_not_there(
    inside: Inside, marked: tuple[str, list[Path]]
) -> None:
    mark, files = marked
    assert all(mark in file.read_text() for file in files)  # outside they can be read
    told = tried(
        inside,
        f"paths = {[str(file) for file in files]!r}\n"
        "told = {p: attempt(open, p) for p in paths}\n"
        "seen = [os.path.join(f, n) for f, d, names in os.walk('/') if not f.startswith('/proc') for n in d + names]\n"
        f"told['named'] = sum({mark!r} in path for path in seen)\n"
        "told['mine'] = sum(path.endswith('/mine.txt') for path in seen)\n"
        "print(json.dumps(told))",
    )
    assert [told[str(file)] for file in files] == [errno.ENOENT] * 3
    assert told["mine"] == 1  # the search does find what is there
    assert told["named"] == 0


def test_solutions_of_the_catalog_are_not_there(inside: Inside, root: Path) -> None:
    known = [*(root / "labs" / "catalog").glob("*/lab.md"), root / "grader" / "pipeline.py"]
    assert any(path.exists() for path in known)
    told = tried(
        inside,
        f"told = {{p: attempt(open, p) for p in {[str(path) for path in known]!r}}}\n"
        "told['found'] = sum(n in ('lab.md', 'pipeline.py') and ('catalog' in f or f.endswith('/grader'))\n"
        "    for f, d, names in os.walk('/') if not f.startswith('/proc') for n in names)\n"
        "print(json.dumps(told))",
    )
    assert set(told.values()) == {errno.ENOENT, 0}
    assert told["found"] == 0
    assert 0 not in [told[str(path)] for path in known]


def test_the_servers_secrets_are_in_no_environment_or_memory_within_reach(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICTLABS_COOKIE", "swordfish-in-environment")
    told = tried(
        inside,
        "told = {'seen': 0, 'read': 0}\n"
        "for pid in [p for p in os.listdir('/proc') if p.isdigit()]:\n"
        "    for name in ('environ', 'cmdline'):\n"
        "        try: text = open(f'/proc/{pid}/{name}', 'rb').read()\n"
        "        except OSError: continue\n"
        "        told['read'] += b'HOME=/home/student' in text\n"
        "        told['seen'] += b'swordfish' + b'-in-environment' in text\n"
        "for name in ('environ', 'mem', 'maps', 'auxv'): told[name] = attempt(lambda: open('/proc/1/' + name, 'rb').read())\n"
        "for name in ('fd', 'map_files'): told[name] = attempt(os.listdir, '/proc/1/' + name)\n"
        "for name in ('root', 'cwd', 'exe'): told[name] = attempt(os.stat, '/proc/1/' + name)\n"
        "print(json.dumps(told))",
    )
    assert told.pop("read") >= 1  # its own was read, so reading works
    assert told.pop("seen") == 0
    assert set(told.values()) <= {errno.EACCES, errno.EPERM}, told


@pytest.fixture
def listening() -> Iterator[tuple[list[tuple[str, int]], str]]:
    """A server on the host: on loopback, on its other address where it has one, and on an abstract socket."""
    stop, servers = threading.Event(), []
    addresses = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address that would be used
        addresses.append(probe.getsockname()[0])
    for address in addresses:
        server = socket.create_server((address, 0))
        servers.append(server)
    name = f"\0ictlabs-{uuid.uuid4().hex}"
    local = socket.socket(socket.AF_UNIX)
    local.bind(name)
    local.listen()
    yield [server.getsockname()[:2] for server in servers], name
    stop.set()
    for opened in [*servers, local]:
        opened.close()


def test_no_network_but_its_own_loopback(
    inside: Inside, listening: tuple[list[tuple[str, int]], str]
) -> None:
    addresses, name = listening
    for address in addresses:
        socket.create_connection(address, timeout=5).close()  # outside they answer
    with socket.socket(socket.AF_UNIX) as outside:
        outside.connect(name)
    told = tried(
        inside,
        f"told = {{}}\nfor n, address in enumerate({addresses!r}):\n"
        "    told[f'tcp{n}'] = attempt(socket.create_connection, tuple(address), 5)\n"
        f"told['abstract'] = attempt(socket.socket(socket.AF_UNIX).connect, {name!r})\n"
        "told['far'] = attempt(socket.create_connection, ('192.0.2.1', 80), 5)\n"
        "told['dns'] = attempt(socket.getaddrinfo, 'localhost.example.org', 80)\n"
        "own = socket.create_server(('127.0.0.1', 0))\n"
        "told['own'] = attempt(socket.create_connection, own.getsockname(), 5)\n"
        "told['interfaces'] = len(socket.if_nameindex())\n"
        "told['raw'] = attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)\n"
        "print(json.dumps(told))",
    )
    refused = {errno.ECONNREFUSED, errno.ENETUNREACH}
    assert {told["tcp0"], told["tcp1"], told["abstract"], told["far"]} <= refused, told
    assert told["dns"] != 0
    assert told["own"] == 0
    assert told["interfaces"] == 1
    assert told["raw"] == errno.EPERM


def test_cannot_signal_or_trace_what_is_not_its_own(inside: Inside) -> None:
    victim = subprocess.Popen(["sleep", "60"])
    try:
        told = tried(
            inside,
            f"victim = {victim.pid}\n"
            "told = {'signal': attempt(os.kill, victim, 9), 'attach': call(libc.ptrace, 16, victim, 0, 0)}\n"
            "told['listed'] = int(os.path.exists(f'/proc/{victim}'))\n"
            "told['attach1'] = call(libc.ptrace, 16, 1, 0, 0)\n"
            "for number in (9, 19): attempt(os.kill, 1, number)\n"  # KILL and STOP: either refused or ignored
            "import subprocess, time\n"
            "own = subprocess.Popen(['sleep', '50'])\n"
            "told['attach own'] = call(libc.ptrace, 16, own.pid, 0, 0)\n"
            "time.sleep(0.3)\n"
            "print(json.dumps(told))",
        )
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert told.pop("attach own") == 0  # tracing itself does work here
    assert told == {"signal": errno.ESRCH, "attach": errno.ESRCH, "listed": 0, "attach1": errno.EPERM}


def test_the_hosts_shared_memory_is_out_of_reach(inside: Inside) -> None:
    made = subprocess.run(["ipcmk", "-M", "4096", "-p", "0666"], capture_output=True, text=True, check=True)
    segment = made.stdout.split()[-1]
    look = "print([line.split()[1] for line in open('/proc/sysvipc/shm')][1:])"
    try:
        outside = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
        ended, said = inside(look)
    finally:
        subprocess.run(["ipcrm", "-m", segment], check=True)
    assert f"'{segment}'" in outside.stdout
    assert (ended, said) == (Exit(0, "exited"), "[]\n")


def test_a_signal_to_all_reaches_only_its_own(inside: Inside) -> None:
    witness = subprocess.Popen(["sleep", "60"], user=site_uid() if os.geteuid() == 0 else None)
    try:
        ended, said = inside(
            "import os, signal, subprocess\nsignal.signal(15, lambda *_: None)\n"
            "own = subprocess.Popen(['sleep', '50'])\nos.kill(-1, 15)\nprint(own.wait())"
        )
        assert witness.poll() is None
    finally:
        witness.kill()
        witness.wait()
    assert said == "-15\n"
    assert ended == Exit(0, "exited")


def test_writes_nowhere_but_in_its_own_folders(inside: Inside) -> None:
    told = tried(
        inside,
        "told = {}\n"
        "for path in ('/x', '/etc/x', '/usr/x', '/usr/bin/x', '/etc/passwd', '/etc/group', '/home/x', '/dev/x', '/var/x',\n"
        "             os.path.join(sys.prefix, 'x'), sys.executable, '/proc/sys/kernel/core_pattern',\n"
        "             '/proc/sys/kernel/hostname', '/proc/sysrq-trigger'):\n"
        "    told[path] = attempt(open, path, 'a')\n"
        "for path in ('/tmp/x', '/var/tmp/x', '/run/x', '/dev/shm/x', '/home/student/x', 'x'):\n"
        "    told['own ' + path] = attempt(open, path, 'a')\n"
        "told['device'] = attempt(os.mknod, '/tmp/sda', 0o60666, os.makedev(8, 0))\n"
        "print(json.dumps(told))",
    )
    own = {told.pop(name) for name in list(told) if name.startswith("own ")}
    assert own == {0}
    assert told.pop("device") == errno.EPERM
    if told["/proc/sysrq-trigger"] == errno.ENOENT:
        del told["/proc/sysrq-trigger"]  # a kernel without that key
    assert set(told.values()) <= {errno.EROFS, errno.EACCES, errno.EPERM}, told


def test_cannot_change_the_mounts_or_enter_namespaces(inside: Inside) -> None:
    told = tried(
        inside,
        "told = {\n"
        "  'umount names': call(libc.umount2, b'/etc/passwd', 2), 'umount proc': call(libc.umount2, b'/proc', 2),\n"
        "  'remount root': call(libc.mount, b'none', b'/', None, 32, None),\n"
        "  'remount etc': call(libc.mount, b'none', b'/etc', None, 32 | 4096, None),\n"
        "  'bind': call(libc.mount, b'/tmp', b'/etc', None, 4096, None),\n"
        "  'tmpfs': call(libc.mount, b'none', b'/tmp', b'tmpfs', 0, None),\n"
        "  'chroot': attempt(os.chroot, '/tmp'),\n"
        "  'new user namespace': call(libc.unshare, 0x10000000), 'new mounts': call(libc.unshare, 0x20000),\n"
        "  'namespace of 1': attempt(open, '/proc/1/ns/mnt'),\n"
        "  'clone': call(libc.syscall, 56 if os.uname().machine == 'x86_64' else 220, 0x10000011, 0, 0, 0, 0),\n"
        "}\nprint(json.dumps(told))",
    )
    assert 0 not in told.values(), told
    assert told["new user namespace"] in {errno.ENOSPC, errno.EPERM}
    assert {told["umount names"], told["remount root"], told["bind"], told["tmpfs"]} == {errno.EPERM}


def test_cannot_gain_privileges(inside: Inside) -> None:
    """Setting ids, capabilities, and a setuid file of its own."""
    told = tried(
        inside,
        "import shutil, subprocess\n"
        "told = {'setuid': attempt(os.setuid, 0), 'setgid': attempt(os.setgid, 0), 'setgroups': attempt(os.setgroups, [0]),\n"
        "        'chown': attempt(lambda: (open('/tmp/f', 'w').close(), os.chown('/tmp/f', 0, 0)))}\n"
        "header, all_of_them = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xffffffff] * 6)\n"
        "told['capset'] = call(libc.capset, header, all_of_them)\n"
        "shutil.copy('/usr/bin/python3', '/tmp/own'); os.chmod('/tmp/own', 0o6755)\n"
        "told['own'] = int(subprocess.run(['/tmp/own', '-c', 'import os; print(os.geteuid() == 0)'],\n"
        "    capture_output=True, text=True).stdout != 'False\\n')\n"
        "flags = os.ST_NOSUID\n"
        "told['suid mounts'] = sum(not os.statvfs(line.split()[1]).f_flag & flags for line in open('/proc/mounts')\n"
        "    if not line.split()[1].startswith('/dev/'))\n"
        "print(json.dumps(told))",
    )
    assert {told[name] for name in ("setuid", "setgid", "setgroups", "capset", "chown")} <= {
        errno.EPERM,
        errno.EINVAL,  # an id that does not exist inside
    }
    assert told["own"] == 0
    assert told["suid mounts"] == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_dangerous_system_calls_are_refused(inside: Inside) -> None:
    calls = {
        "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "memfd_create": 319, "init_module": 175, "kexec_load": 246, "reboot": 169, "open_by_handle_at": 304,
    }  # fmt: skip
    told = tried(
        inside,
        f"told = {{name: call(libc.syscall, number, 0, 0, 0, 0, 0) for name, number in {calls!r}.items()}}\n"
        "told['getpid'] = call(libc.syscall, 39)\nprint(json.dumps(told))",
    )
    assert told.pop("getpid") == 0
    assert told.pop("open_by_handle_at") in {errno.EPERM, errno.EBADF, errno.EFAULT}  # no handle is any use
    assert set(told.values()) <= {errno.EPERM, errno.ENOSYS}, told  # or this kernel does not have it at all
    assert told["memfd_create"] == errno.EPERM


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_the_second_numbering_of_system_calls_is_no_way_round(inside: Inside) -> None:
    ended, said = inside(TRY + "print(call(libc.syscall, 0x40000000 + 319, b'x', 0))")  # x32's memfd_create
    by_the_outer_filter = Exit(128 + 31, "killed")  # SIGSYS
    assert ended == by_the_outer_filter or said == f"{errno.EPERM}\n"


def test_a_file_of_the_submission_is_not_run_in_place_of_a_tool(
    sandbox: Sandbox, command: Make, work: Path
) -> None:
    """Links, pipes and programs in the working folder are data: nothing outside follows or runs them."""
    secret = work.parent / "secret.txt"
    secret.write_text("swordfish")
    (work / "link").symlink_to(secret)
    os.mkfifo(work / "pipe")
    run = sandbox.start(
        command("import os; print(sorted(os.listdir()), os.path.islink('link'), os.path.exists('link'))")
    )
    assert run.wait(30) == Exit(0, "exited")
    assert run.output() == b"['link', 'mine.txt'] True False\n"


def test_access_lists_for_other_users_work_where_ids_are_a_range(sandbox: Sandbox, inside: Inside) -> None:
    """What `setfacl -m u:daemon:r` does, by the call that it makes."""
    acl = (
        "import struct\nopen('/tmp/f', 'w').close()\n"
        "entries = [(1, 6, 0xffffffff), (2, 4, 1), (4, 4, 0xffffffff), (16, 4, 0xffffffff), (32, 0, 0xffffffff)]\n"
        "value = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)\n"
        "told = {'set': attempt(os.setxattr, '/tmp/f', 'system.posix_acl_access', value)}\n"
        "told['kept'] = int(told['set'] == 0 and os.getxattr('/tmp/f', 'system.posix_acl_access') == value)\n"
        "print(json.dumps(told))"
    )
    told = tried(inside, acl)
    ranged = os.geteuid() == 0 and sandbox.label != "process-unprivileged"  # type: ignore[attr-defined]
    assert told == (
        {"set": 0, "kept": 1} if ranged or sandbox.name == "docker" else {"set": errno.EINVAL, "kept": 0}
    )


def test_the_attacks_succeed_where_there_is_no_wall(tmp_path: Path) -> None:
    """The same snippets, outside: what they report as refused is the walls' doing, not a slip in the snippet."""
    code = TRY + (
        "told = {'spawn': attempt(os.kill, os.getppid(), 0), 'write': attempt(open, sys.argv[1] + '/x', 'a'),\n"
        "        'read': attempt(lambda: open(f'/proc/{os.getppid()}/cmdline').read()),\n"
        "        'bpf': call(libc.syscall, 319, b'x', 0)}\n"  # memfd_create
        "print(json.dumps(told))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(json.loads(done.stdout).values()) == {0}
