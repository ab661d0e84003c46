"""The jail by itself: the parts of its spec that servers use, how it ends, and what it hides."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.sandbox import jail
from grader.sandbox.process import hidden_places, inside_path, interpreter_places
from grader.sandbox.runfolder import JAIL

Start = Callable[..., "subprocess.Popen[str]"]
NOBODY_IN_PARTICULAR = 4321


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a jail on a spec given on standard input."""
    started: list[subprocess.Popen[str]] = []

    def run(**spec: Any) -> subprocess.Popen[str]:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(JAIL), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(guard)
        assert guard.stdin
        guard.stdin.write(json.dumps(spec))
        guard.stdin.close()
        guard.stdin = None
        return guard

    yield run
    for guard in started:
        guard.kill()
        guard.wait()


def finish(guard: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end: code, standard output, standard error."""
    out, err = guard.communicate(timeout=60)
    return guard.returncode, out, err


def alive(word: str) -> bool:
    """Whether a process of this host has `word` in its arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def mark() -> str:
    """An argument that no other process has."""
    return f"mark-{uuid.uuid4().hex}"


def test_probe_says_that_it_works_here() -> None:
    found = jail.probe()
    assert found["works"], found["why"]
    assert found["ids"] == ("range" if os.geteuid() == 0 else "one")


def test_an_unknown_key_is_named(start: Start) -> None:
    code, _, err = finish(start(argv=["true"], memory=5))
    assert code == 125
    assert "unknown key memory" in err


def test_a_spec_without_a_command_is_refused(start: Start) -> None:
    code, _, err = finish(start())
    assert code == 125
    assert "argv is missing" in err


def test_a_home_is_bound_writable_and_nothing_beside_it_shows(start: Start, tmp_path: Path) -> None:
    """A student's server: the home of alice is there, that of bob is not."""
    for name in ("alice", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
        (tmp_path / name / "work.txt").write_text(name)
    told = "ls /home; cat work.txt; echo new > made.txt; ls " + str(tmp_path / "bob")
    code, out, err = finish(start(argv=["sh", "-c", told], rw={"/home/student": str(tmp_path / "alice")}))
    assert (code, out) == (2, "student\nalice")
    assert "No such file" in err
    made = tmp_path / "alice" / "made.txt"
    assert made.read_text() == "new\n"
    assert made.stat().st_uid == (1000 if os.geteuid() == 0 else os.geteuid())


def test_a_shared_network_reaches_the_hosts_loopback(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        knock = ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"]
        assert finish(start(argv=knock, share_net=True))[0] == 0
        assert finish(start(argv=knock))[0] == 1


def test_sigterm_ends_everything_at_once(start: Start, mark: str) -> None:
    guard = start(argv=["sh", "-c", f"trap '' TERM; sleep 50 & sh -c 'sleep 50; : {mark}'"])
    wait_for(lambda: alive(mark))
    guard.send_signal(signal.SIGTERM)
    assert guard.wait(40) == 137
    assert not alive(mark)


def test_a_grace_lets_the_command_tidy_up(start: Start) -> None:
    tidy = "trap 'echo tidy; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    guard = start(argv=["sh", "-c", tidy], grace_s=20)
    assert guard.stdout
    assert guard.stdout.readline() == "ready\n"
    guard.send_signal(signal.SIGTERM)
    assert finish(guard)[:2] == (7, "tidy\n")


def test_a_grace_has_an_end(start: Start) -> None:
    guard = start(argv=["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], grace_s=0.5)
    assert guard.stdout
    assert guard.stdout.readline() == "ready\n"
    guard.send_signal(signal.SIGTERM)
    assert guard.wait(40) == 137


@pytest.mark.parametrize("outlive", [False, True])
def test_the_end_of_the_parent_ends_it_unless_told_otherwise(mark: str, outlive: bool) -> None:
    """SIGKILL of the process that started it, as a crash would be."""
    spec = {"argv": ["sh", "-c", f"sleep 50; : {mark}"], "outlive_parent": outlive}
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "p = subprocess.Popen(sys.argv[1:3] + ['-'], stdin=subprocess.PIPE, start_new_session=True)\n"
            "p.stdin.write(sys.argv[3].encode()); p.stdin.close(); print(p.pid, flush=True); time.sleep(60)",
            sys.executable,
            str(JAIL),
            json.dumps(spec),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    guard = int(parent.stdout.readline())
    try:
        wait_for(lambda: alive(f": {mark}"))
        time.sleep(0.3)  # the guard watches its parent by now: the command is running
        parent.kill()
        parent.wait()
        if outlive:
            time.sleep(1)
            assert alive(f": {mark}")
        else:
            wait_for(lambda: not alive(f": {mark}"))
    finally:
        if outlive:
            os.kill(guard, signal.SIGTERM)
    wait_for(lambda: not alive(f": {mark}"))


def test_the_end_of_the_guard_itself_ends_everything(start: Start, mark: str) -> None:
    guard = start(argv=["sh", "-c", f"sleep 50; : {mark}"])
    wait_for(lambda: alive(f"sleep 50; : {mark}"))
    time.sleep(0.3)
    guard.kill()
    guard.wait()
    wait_for(lambda: not alive(mark))


def test_output_without_a_file_is_inherited(start: Start) -> None:
    assert finish(start(argv=["sh", "-c", "echo out; echo err >&2"])) == (0, "out\n", "err\n")


def test_the_environments_own_python_is_reachable_and_its_surroundings_are_not(
    start: Start, root: Path
) -> None:
    """Even below folders that only root may enter: their other content stays away."""
    look = (
        "import json, os, sys, ictlab, ipykernel\n"
        "up = [p for p in (os.path.dirname(sys.prefix), os.path.dirname(sys.base_prefix), os.path.expanduser('~root'))]\n"
        "print(json.dumps([os.getuid(), sys.executable, {p: os.listdir(p) if os.path.isdir(p) else [] for p in up}]))"
    )
    shown = [*jail.DEFAULT_RO, *interpreter_places()]
    code, out, err = finish(
        start(argv=["python3", "-c", look], ro=shown, hide=hidden_places(shown), env={"PATH": inside_path()})
    )
    assert code == 0, err
    uid, executable, around = json.loads(out)
    assert uid == 1000 or os.geteuid() != 0
    assert Path(executable).is_relative_to(sys.prefix)
    needed = {Path(place) for place in shown}
    for folder, names in around.items():
        if any(Path(folder).is_relative_to(place) for place in needed):
            continue  # a system's own Python, below /usr
        for name in names:
            path = Path(folder) / name
            assert any(place.is_relative_to(path) for place in needed), f"{path} shows"
    assert not any(Path(place) == root or root.is_relative_to(place) for place in needed)


def test_a_hidden_folder_is_empty(start: Start, tmp_path: Path) -> None:
    solutions = tmp_path / "shown" / "labs"
    solutions.mkdir(parents=True)
    (solutions / "lab.md").write_text("swordfish")
    tmp_path.chmod(0o755)
    spec: dict[str, Any] = {
        "argv": ["find", str(tmp_path / "shown")],
        "ro": [*jail.DEFAULT_RO, str(tmp_path / "shown")],
    }
    assert "lab.md" in finish(start(**spec))[1]
    assert finish(start(**spec, hide=[str(solutions)]))[1].split() == [
        str(tmp_path / "shown"),
        str(solutions),
    ]


def test_a_user_namespace_of_its_own_reveals_nothing_beneath(start: Start, tmp_path: Path) -> None:
    """With `nested`, the command has every power over new mounts, and none over those it was given."""
    hidden = tmp_path / "shown" / "labs"
    hidden.mkdir(parents=True)
    (hidden / "lab.md").write_text("swordfish")
    tmp_path.chmod(0o755)
    tricks = (
        f"mount -t tmpfs none /tmp && echo mounted; umount {hidden}; umount -l {hidden}; umount /etc/passwd;"
        f" mount -o remount,rw /; mount -o remount,bind,rw /usr; umount -l /; cat {hidden}/lab.md; touch /x;"
        f" mkdir /tmp/b; mount --rbind {tmp_path / 'shown'} /tmp/b; umount /tmp/b/labs; cat /tmp/b/labs/lab.md; echo done"
    )
    spec: dict[str, Any] = {
        "argv": ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", tricks],
        "ro": [*jail.DEFAULT_RO, str(tmp_path / "shown")],
        "hide": [str(hidden)],
    }
    code, out, err = finish(start(**spec, nested=True))
    assert (code, out) == (0, "mounted\ndone\n"), err
    refused_without = finish(start(**spec))
    assert refused_without[0] != 0
    assert "unshare failed" in refused_without[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file setuid to root")
def test_a_setuid_program_gives_no_power(start: Start, tmp_path: Path) -> None:
    """Outside the very file makes an ordinary user root."""
    with_power = tmp_path / "bin"
    with_power.mkdir()
    for folder in [with_power, *with_power.parents]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    shutil.copy("/usr/bin/id", with_power / "id")
    (with_power / "id").chmod(0o4755)
    outside = subprocess.run(
        [str(with_power / "id"), "-u"], user=NOBODY_IN_PARTICULAR, capture_output=True, text=True, check=True
    )
    assert outside.stdout == "0\n"
    inside = finish(start(argv=[str(with_power / "id"), "-u"], ro=[*jail.DEFAULT_RO, str(with_power)]))
    assert inside[:2] == (0, "1000\n")


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give up groups; for others they stay, see the jail"
)
def test_our_own_further_groups_stay_outside() -> None:
    spec = json.dumps({"argv": ["id", "-G"]})
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(JAIL), "-"],
        input=spec, capture_output=True, text=True, check=True, extra_groups=[4242, 4],
    )  # fmt: skip
    assert done.stdout == "1000\n"


def test_process_1_gives_no_secrets_away(start: Start) -> None:
    """Process 1 carries the guard's memory; its arguments name the jail and no more."""
    secret = "swordfish"
    code, out, _ = finish(
        start(argv=["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/environ"], env={"TOKEN": secret})
    )
    assert code == 1  # the environment of process 1 cannot be read
    assert secret not in out
    assert out.rstrip().endswith("jail.py -")


def test_a_terminal_can_be_opened_inside(start: Start) -> None:
    """JupyterLab's terminals need pseudo-terminals."""
    code, out, err = finish(start(argv=["python3", "-c", "import pty; print(pty.spawn(['tty']))"]))
    assert code == 0, err
    assert "/dev/pts/0" in out
