"""What every sandbox owes: commands run, ends are told apart, limits hold, nothing is left."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.ownership import site_uid
from grader.sandbox import open_sandbox
from grader.sandbox.base import Command, Exit, Limits, Sandbox, SandboxError

Make = Callable[..., Command]
Inside = Callable[..., tuple[Exit, str]]


def test_runs_a_command_in_a_copy_of_its_folder(inside: Inside, work: Path) -> None:
    ended, said = inside(
        "import os; print(os.getcwd(), open('mine.txt').read()); open('mine.txt','w').write('changed')"
    )
    assert ended == Exit(0, "exited")
    assert said == "/home/student/work mine\n"
    assert (work / "mine.txt").read_text() == "mine"  # nothing is written back


def test_tells_the_exit_code(inside: Inside) -> None:
    assert inside("raise SystemExit(3)")[0] == Exit(3, "exited")


def test_tells_a_command_that_killed_itself(inside: Inside) -> None:
    assert inside("import os; os.kill(os.getpid(), 9)")[0] == Exit(137, "killed")


def test_a_command_that_is_not_there_is_no_fault_of_the_walls(sandbox: Sandbox, work: Path) -> None:
    run = sandbox.start(Command(["no-such-program"], work, Limits(64, 16, 8, 1.0, 10.0)))
    assert run.wait(30) == Exit(127, "exited")
    assert b"no-such-program" in run.output()


def test_environment_holds_what_was_named_and_nothing_of_ours(
    sandbox: Sandbox, command: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICTLABS_SECRET", "swordfish")
    run = sandbox.start(command("import os, json; print(json.dumps(dict(os.environ)))", env={"NAMED": "yes"}))
    assert run.wait(30) == Exit(0, "exited")
    env = json.loads(run.output())
    assert env["NAMED"] == "yes"
    assert env["HOME"] == "/home/student"
    assert "swordfish" not in env.values()


def test_localhost_is_a_name(inside: Inside) -> None:
    """Programs say localhost, and the outside's list of names may be empty."""
    ended, said = inside(
        "import socket; print(sorted({a[4][0] for a in socket.getaddrinfo('localhost', 80)}))"
    )
    assert ended.code == 0
    assert "127.0.0.1" in said


def test_runs_as_a_user_with_a_name_and_no_power(inside: Inside) -> None:
    ended, said = inside(
        "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.getuid(), os.getgroups());"
        "print(open('/proc/self/status').read())"
    )
    assert ended.code == 0
    first, _, status = said.partition("\n")
    assert first.split()[0] == "student"
    assert int(first.split()[1]) == site_uid()
    assert set(json.loads(first.split(maxsplit=2)[2])) <= {site_uid(), OVERFLOW}  # not our own further groups
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_interrupt_reaches_the_command_and_leaves_it_alive(sandbox: Sandbox, command: Make) -> None:
    run = sandbox.start(
        command(
            "import time\n"
            "try:\n    print('ready', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('interrupted')"
        )
    )
    wait_for(lambda: b"ready" in run.output())
    run.interrupt()
    assert run.wait(20) == Exit(0, "exited")
    assert b"interrupted" in run.output()


def test_kill_ends_everything_it_started(
    sandbox: Sandbox, command: Make, processes_with: Callable[[str], list[int]], killed: Exit
) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    run = sandbox.start(command(BACKGROUND.format(mark=mark) + "\nimport time; time.sleep(60)"))
    wait_for(
        lambda: len(processes_with(mark)) >= 2
    )  # the command itself, by its code, and what it left behind
    assert run.poll() is None
    run.kill()
    run.kill()  # safe to call again
    assert run.wait(40) == killed
    wait_for(lambda: not processes_with(mark))


def test_the_end_of_the_command_is_the_end_of_what_it_left_behind(
    sandbox: Sandbox, command: Make, processes_with: Callable[[str], list[int]]
) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    run = sandbox.start(command(BACKGROUND.format(mark=mark) + "\nimport time; time.sleep(1.5)"))
    wait_for(lambda: len(processes_with(mark)) >= 2)
    assert run.wait(20) == Exit(0, "exited")
    wait_for(lambda: not processes_with(mark))


def test_close_ends_every_run(
    sandbox: Sandbox, command: Make, processes_with: Callable[[str], list[int]]
) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    for _ in range(2):
        sandbox.start(command(f"import time; time.sleep(60)  # {mark}"))
    wait_for(lambda: len(processes_with(mark)) >= 2)
    sandbox.close()
    wait_for(lambda: not processes_with(mark))


def test_two_runs_do_not_see_each_other(sandbox: Sandbox, command: Make) -> None:
    first = sandbox.start(
        command("open('/tmp/note','w').write('x'); print('ready',flush=True); import time; time.sleep(60)")
    )
    wait_for(lambda: b"ready" in first.output())
    second = sandbox.start(
        command(
            "import os; print(os.path.exists('/tmp/note'), [p for p in os.listdir('/proc') if p.isdigit()])"
        )
    )
    assert second.wait(30) == Exit(0, "exited")
    assert second.output() == b"False ['1', '2']\n"


def test_an_endless_loop_ends_with_its_time(inside: Inside) -> None:
    begun = time.monotonic()
    ended, _ = inside("while True: pass", wall_s=1.5)
    assert ended == Exit(137, "time")
    assert 1.4 < time.monotonic() - begun < 15


def test_a_fork_bomb_breaks_its_own_limit_only(inside: Inside) -> None:
    ended, said = inside(
        "import os\nprint('lit', flush=True)\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        wall_s=30,
    )
    assert said.startswith("lit")
    assert ended == Exit(137, "pids")


def test_threads_count_as_processes(inside: Inside) -> None:
    ended, _ = inside(
        "import threading, time\nfor _ in range(70): threading.Thread(target=time.sleep, args=(20,)).start()",
        pids=64,
        wall_s=30,
    )
    assert ended == Exit(137, "pids")


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param("x = []\nwhile True: x.append(bytearray(4 << 20))", id="one-process"),
        pytest.param(
            "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n        x = bytearray(os.urandom(30 << 20))\n"
            "        time.sleep(20)\ntime.sleep(20)",
            id="many-processes",
        ),
        pytest.param(
            "import mmap, time\nm = mmap.mmap(-1, 400 << 20)\nfor at in range(0, len(m), 4096): m[at] = 1\ntime.sleep(20)",
            id="shared-mapping",
        ),
        pytest.param(
            "import ctypes, time\nlibc = ctypes.CDLL(None)\nlibc.shmat.restype = ctypes.c_void_p\n"
            "libc.shmdt.argtypes = [ctypes.c_void_p]\nfor _ in range(10):\n"
            "    at = libc.shmat(libc.shmget(0, 40 << 20, 0o1600), None, 0)\n"
            "    ctypes.memset(at, 1, 40 << 20); libc.shmdt(at)\ntime.sleep(20)",
            id="segments-nobody-maps",
        ),
        pytest.param(
            "import time\nfor n in range(50): open(f'/dev/shm/{n}', 'wb').write(bytes(8 << 20))\ntime.sleep(20)",
            id="files-in-memory",
        ),
    ],
)
def test_a_memory_bomb_breaks_its_own_limit_only(inside: Inside, bomb: str) -> None:
    ended, said = inside(bomb, memory_mb=192, disk_mb=512, wall_s=40)
    assert ended == Exit(137, "memory"), said


def test_memory_that_processes_share_is_counted_once(inside: Inside) -> None:
    ended, said = inside(
        "import os, time\nx = os.urandom(100 << 20)\n"
        "for _ in range(6):\n    if os.fork() == 0:\n        time.sleep(1); os._exit(0)\nfor _ in range(6): os.wait()\nprint('done')"
    )
    assert (ended, said) == (Exit(0, "exited"), "done\n")


def test_filling_the_disk_stops_at_its_limit(inside: Inside) -> None:
    ended, said = inside(
        "import os\nsize = 0\ntry:\n    with open('/tmp/big', 'wb', buffering=0) as f:\n"
        "        while True: size += f.write(bytes(1 << 16))\n"
        "except OSError as error: print(error.errno, size >> 20)\n"
        "try: open('/home/student/more', 'wb', buffering=0).write(bytes(1 << 16)); print('room left')\n"
        "except OSError as error: print(error.errno); raise SystemExit(1)",
        disk_mb=16,
    )
    assert said.splitlines() == ["28 15", "28"]  # ENOSPC, and all writable folders share the one size
    assert ended == Exit(1, "disk")


def test_files_without_content_are_limited_too(inside: Inside) -> None:
    ended, said = inside(
        "import itertools\nfor n in itertools.count():\n    try: open(f'/tmp/{n}', 'x').close()\n"
        "    except OSError as error: print(error.errno, n < 20000); break",
        disk_mb=16,
    )
    assert (ended.code, said) == (0, "28 True\n")


def test_a_gigabyte_of_output_is_cut(sandbox: Sandbox, command: Make) -> None:
    run = sandbox.start(
        command(
            "import os\nos.write(1, b'odd')\nfor _ in range(1024): os.write(1, b'y' * (1 << 20))\nopen('/tmp/all', 'w').close()"
        )
    )
    assert run.wait(80) == Exit(0, "exited")  # it was let write all of it
    kept = run.output(1 << 30)
    assert len(kept) == 1 << 20
    assert len(run.output(10)) == 10


def test_sockets_are_reachable_and_sealed(
    sandbox: Sandbox, command: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Five sockets lie in the shared folder; from then on nothing inside changes that folder."""
    import tempfile  # a short path: sockets' names hold 107 characters

    with tempfile.TemporaryDirectory(prefix="ict-t-") as closed:
        leaf = Path(closed) / "s"
        leaf.mkdir()
        os.chown(leaf, site_uid(), site_uid()) if os.geteuid() == 0 else None
        run = sandbox.start(command(SOCKETS.format(leaf=leaf), sockets=leaf))
        try:
            wait_for(lambda: (leaf / "sealed").exists() and b"}" in run.output(), why=run.output)
            tried = json.loads(run.output())
            names = {path.name for path in leaf.iterdir()}
        finally:
            run.kill()
    erofs = 30
    assert tried == dict.fromkeys(("write", "remove", "link", "rename", "mode"), erofs)
    assert names == {"k-1", "k-2", "k-3", "k-4", "k-5", "sealed"}


def test_work_that_does_not_fit_is_our_fault_not_the_students(sandbox: Sandbox, work: Path) -> None:
    (work / "large").write_bytes(bytes(4 << 20))
    with pytest.raises(SandboxError, match="disk_mb"):
        sandbox.start(Command(["true"], work, Limits(64, 16, 2, 1.0, 10.0)))


def test_a_sandbox_that_nobody_knows_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(SandboxError, match="docker, process"):
        open_sandbox("rocket")


OVERFLOW = 65534  # how an id that is not mapped shows

BACKGROUND = """
import subprocess
subprocess.Popen(['python3', '-c', 'import time; time.sleep(60)', '{mark}'], start_new_session=True)
"""
SOCKETS = """
import json, os, socket, time
held = []
for n in range(1, 6):
    s = socket.socket(socket.AF_UNIX); s.bind('{leaf}/k-' + str(n)); s.listen(); held.append(s)
while not os.path.exists('{leaf}/sealed'): time.sleep(0.01)
def attempt(action):
    try: action()
    except OSError as error: return error.errno
    return 0
print(json.dumps({{
    'write': attempt(lambda: open('{leaf}/fill', 'w')),
    'remove': attempt(lambda: os.remove('{leaf}/k-1')),
    'link': attempt(lambda: os.symlink('/run/docker.sock', '{leaf}/k-6')),
    'rename': attempt(lambda: os.rename('{leaf}/k-2', '{leaf}/k-7')),
    'mode': attempt(lambda: os.chmod('{leaf}/k-1', 0o777)),
}}), flush=True)
time.sleep(60)
"""


def wait_for(
    condition: Callable[[], object], why: Callable[[], object] = lambda: "", seconds: float = 20
) -> None:
    """Wait until `condition` holds, or fail with `why`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
