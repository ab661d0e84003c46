"""A student who means harm, in a real container: what is tried from a server's terminal, and what comes of it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.site import DemoSite
from grader.store import Store
from hub.settings import load_settings

pytestmark = pytest.mark.docker
Inside = Callable[..., Any]
HEAD = """
import ctypes, errno, json, os, pathlib, socket, subprocess, sys, time, urllib.error, urllib.request
libc = ctypes.CDLL(None, use_errno=True)
def says(result):
    print(json.dumps(result))
def errors(*calls):
    found = []
    for call in calls:
        try:
            value = call()
            found.append("done" if value is None or not isinstance(value, int) or value >= 0 else errno.errorcode[ctypes.get_errno()])
        except OSError as error:
            found.append(errno.errorcode[error.errno])
    return found
def ask(url, method="GET", token=os.environ["JUPYTERHUB_API_TOKEN"], data=None):
    request = urllib.request.Request(url, method=method, headers={"Authorization": "token " + token}, data=data)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
"""


@pytest.fixture(scope="module")
def servers(
    docker_site: DemoSite,
    visit: Callable[[DemoSite, str], Any],
    containers_of: Callable[[DemoSite], list[Any]],
) -> dict[str, Any]:
    """The containers of alice and bob."""
    for name in ("alice", "bob"):
        visitor = visit(docker_site, name)
        visitor.login()
        visitor.start_server()
    return {
        c.labels["ictlabs.person"]: c
        for c in containers_of(docker_site)
        if c.attrs["Config"]["Hostname"] == "base"
    }


@pytest.fixture
def inside(servers: dict[str, Any]) -> Inside:
    """`inside(code)`: run it in alice's container as she could in a terminal; what it says."""

    def run(code: str, whose: str = "alice") -> Any:
        container = servers[whose]
        environment = dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])
        command = ["python3", "-c", HEAD + textwrap.dedent(code)]
        done = container.exec_run(command, environment=environment)
        assert done.exit_code == 0, done.output.decode()
        return json.loads(done.output.decode().splitlines()[-1])

    return run


def test_no_capability_is_there_to_be_used(inside: Inside) -> None:
    found = inside("""
        sets = {l.split(":")[0]: int(l.split()[1], 16) for l in open("/proc/self/status") if l.startswith("Cap")}
        pathlib.Path("/tmp/mine").touch()
        says([sets, errors(
            lambda: os.chown("/tmp/mine", 0, 0),
            lambda: os.setuid(0),
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
            lambda: os.chroot("/tmp"),
            lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
            lambda: os.kill(1, 0),
        )])
    """)

    sets, tried = found
    assert set(sets.values()) == {0}
    assert set(tried[:6]) == {"EPERM"}


def test_setuid_gains_nothing(inside: Inside) -> None:
    found = inside("""
        import shutil, stat
        shutil.copy("/usr/bin/id", "/home/student/id"); os.chmod("/home/student/id", 0o6755)
        there = [str(p) for top in ("/usr", "/bin", "/sbin", "/opt") for p in pathlib.Path(top).rglob("*")
                 if p.is_file() and not p.is_symlink() and p.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
        uid = subprocess.run(["/home/student/id", "-u"], capture_output=True, text=True).stdout.strip()
        os.remove("/home/student/id")
        new = next(l.split()[1] for l in open("/proc/self/status") if l.startswith("NoNewPrivs"))
        says([there, uid == str(os.getuid()), new, shutil.which("sudo")])
    """)

    assert found == [[], True, "1", None]


def test_nothing_can_be_written_but_in_the_home_and_in_memory(inside: Inside) -> None:
    found = inside("""
        places = []
        for top, folders, _ in os.walk("/"):
            folders[:] = [f for f in folders if os.path.join(top, f) not in ("/proc", "/sys")]
            try:
                open(os.path.join(top, ".try"), "w").close(); os.remove(os.path.join(top, ".try"))
                places.append(top)
            except OSError:
                pass
        says(sorted({"/".join(p.split("/")[:3]) for p in places}))
    """)

    assert set(found) <= {"/home/student", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}


def test_a_fork_bomb_ends_at_the_limit_and_the_neighbour_does_not_feel_it(inside: Inside) -> None:
    found = inside("""
        mine, refused = [], ""
        try:
            for _ in range(5000):
                pid = os.fork()
                if not pid:
                    time.sleep(60); os._exit(0)
                mine.append(pid)
        except OSError as error:
            refused = errno.errorcode[error.errno]
        for pid in mine:
            os.kill(pid, 9); os.waitpid(pid, 0)
        says([refused, len(mine)])
    """)

    assert found[0] == "EAGAIN"
    assert found[1] <= 512
    assert (
        inside("says(ask('http://127.0.0.1:8888' + os.environ['JUPYTERHUB_SERVICE_PREFIX'] + 'api'))", "bob")
        == 200
    )
    assert (
        inside("says(ask('http://127.0.0.1:8888' + os.environ['JUPYTERHUB_SERVICE_PREFIX'] + 'api'))") == 200
    )


def test_a_memory_bomb_costs_the_process_that_is_one(inside: Inside) -> None:
    found = inside("""
        bomb = "kept = [bytearray(b'x' * 2**24) for _ in range(1000)]"
        says([subprocess.run([sys.executable, "-c", bomb]).returncode, open("/sys/fs/cgroup/memory.max").read().strip()
              if os.path.exists("/sys/fs/cgroup/memory.max") else str(2**30)])
    """)

    assert found == [-9, str(2**30)]
    assert (
        inside("says(ask('http://127.0.0.1:8888' + os.environ['JUPYTERHUB_SERVICE_PREFIX'] + 'api'))", "bob")
        == 200
    )


def test_memory_that_is_written_as_files_is_bounded(inside: Inside) -> None:
    found = inside("""
        full = []
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            try:
                with open(place + "/full", "wb") as file:
                    for _ in range(600):
                        file.write(bytes(2**20))
                full.append(600)
            except OSError as error:
                full.append(errno.errorcode[error.errno])
            os.remove(place + "/full")
        says(full)
    """)

    assert found == ["ENOSPC", "ENOSPC", "ENOSPC"]


def test_a_file_in_the_home_ends_at_the_size_of_the_home_and_the_limit_cannot_be_raised(
    inside: Inside,
) -> None:
    found = inside("""
        import resource
        most, raised = resource.getrlimit(resource.RLIMIT_FSIZE)[1], []
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most + 1, most + 1))
        except ValueError as error:
            raised.append(str(error))
        with open("/home/student/full", "wb") as file:
            file.seek(most - 1)
            file.write(b"x")
            file.flush()
            ended = errors(lambda: os.write(file.fileno(), b"x"))
        dd = subprocess.run(["dd", "if=/dev/zero", "of=/home/student/full", "bs=1M", "count=2", f"seek={most // 2**20 - 1}"],
                            capture_output=True, text=True)
        os.remove("/home/student/full")
        says([most, raised, ended, dd.returncode, dd.stderr])
    """)

    most, raised, ended, code, said = found
    assert most == 2048 * 2**20
    assert raised == ["not allowed to raise maximum limit"]
    assert ended == ["EFBIG"]
    assert code == -25 or "File too large" in said, found  # SIGXFSZ


def test_neighbours_the_engine_the_internet_and_the_clouds_metadata_are_out_of_reach(
    inside: Inside, servers: dict[str, Any]
) -> None:
    networks = servers["bob"].attrs["NetworkSettings"]["Networks"]
    bob = next(iter(networks.values()))["IPAddress"]

    found = inside(f"""
        from urllib.parse import urlparse
        gateway = urlparse(os.environ["JUPYTERHUB_API_URL"]).hostname
        def reach(host, port):
            with socket.socket() as s:
                s.settimeout(2)
                return s.connect_ex((host, port)) == 0
        says([reach("{bob}", 8888), reach(gateway, 2375), reach(gateway, 2376), reach("169.254.169.254", 80),
              reach("192.0.2.1", 443), os.path.exists("/var/run/docker.sock"), os.path.exists("/run/docker.sock")])
    """)

    assert found == [False] * 7


def test_the_hubs_api_gives_a_servers_token_nothing_of_others(inside: Inside) -> None:
    found = inside("""
        hub = os.environ["JUPYTERHUB_API_URL"]
        says([ask(hub + "/users"), ask(hub + "/users/bob"), ask(hub + "/users/mallory", "POST"),
              ask(hub + "/users/bob/servers/base", "DELETE"), ask(hub + "/users/bob/tokens", "POST", data=b"{}"),
              ask(hub + "/users/alice/tokens", "POST", data=b"{}"), ask(hub + "/proxy"), ask(hub + "/services"),
              ask(hub + "/shutdown", "POST", data=b"{}"), ask(hub + "/groups")])
    """)

    assert all(status in {403, 404} for status in found), found


def test_the_portal_is_nobody_else_to_her(inside: Inside, docker_site: DemoSite) -> None:
    settings = load_settings(docker_site.folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    try:
        submission = store.submit("ict101", store.releases("ict101")[0].lab, "bob", b"not an archive").id
    finally:
        store.close()

    found = inside(f"""
        portal = os.environ["ICTLABS_EXCHANGE_URL"].removesuffix("api/exchange")
        says([ask(portal + "submissions/{submission}/receipt"), ask(portal + "feedback/{submission}"),
              ask(portal + "courses/ict101/students/bob"), ask(portal + "administration"),
              ask(portal + "api/courses/ict101/marks"), ask(portal + "courses/ict101/now")])
    """)

    assert all(status in {401, 403, 404} for status in found), found


def test_no_other_home_is_there(inside: Inside) -> None:
    found = inside("""
        homes = os.listdir("/home")
        inside = os.path.realpath("/home/student/../../home")
        mounts = [l.split()[4] for l in open("/proc/self/mountinfo")]
        says([homes, os.listdir(inside), [m for m in mounts if m.startswith("/home")]])
    """)

    assert found == [["student"], ["student"], ["/home/student"]]


def test_no_mount_no_module_no_namespace_and_none_of_the_kernels_own_doors(inside: Inside) -> None:
    found = inside("""
        def call(number, *args):
            ctypes.set_errno(0)
            return libc.syscall(number, *args)
        machine = os.uname().machine
        numbers = {"x86_64": dict(mount=165, init_module=175, finit_module=313, unshare=272, setns=308, bpf=321,
                                  keyctl=250, perf=298, kexec=246, reboot=169, swapon=167, userfaultfd=323,
                                  open_by_handle=304, acct=163, quotactl=179, syslog=103)}[machine]
        fd = os.open("/tmp", os.O_RDONLY)
        says(dict(
            mount=errors(lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
            module=errors(lambda: call(numbers["init_module"], b"", 0, b""), lambda: call(numbers["finit_module"], fd, b"", 0)),
            namespaces=errors(lambda: call(numbers["unshare"], 0x10000000), lambda: call(numbers["unshare"], 0x20000),
                              lambda: call(numbers["setns"], fd, 0)),
            doors=errors(*(lambda n=n: call(numbers[n], 0, 0, 0, 0, 0) for n in ("bpf", "keyctl", "perf", "kexec", "reboot",
                         "swapon", "userfaultfd", "open_by_handle", "acct", "quotactl", "syslog"))),
        ))
    """)

    for what, answers in found.items():
        assert set(answers) <= {"EPERM", "ENOSYS", "EACCES"}, (what, answers)


def test_root_in_a_namespace_of_ones_own_is_root_over_nothing_of_the_hosts(
    docker_site: DemoSite,
    visit: Callable[[DemoSite, str], Any],
    containers_of: Callable[[DemoSite], list[Any]],
) -> None:
    bob = visit(docker_site, "bob")
    bob.login()
    bob.start_server("network")
    (network,) = (c for c in containers_of(docker_site) if c.attrs["Config"]["Hostname"] == "network")
    code = HEAD + textwrap.dedent("""
        uid = os.getuid()
        assert libc.unshare(0x10000000 | 0x20000 | 0x40000000) == 0  # users, mounts, network
        open("/proc/self/setgroups", "w").write("deny"); open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
        write = lambda path, text: open(path, "w").write(text) and None
        says([os.getuid(), errors(
            lambda: os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0)),
            lambda: libc.mount(b"/dev/vda", b"/tmp", b"ext4", 0, None),
            lambda: libc.mount(b"none", b"/tmp", b"cgroup2", 0, None),
            lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
            lambda: write("/proc/sysrq-trigger", "h"),
            lambda: write("/sys/fs/cgroup/memory.max", "max"),
            lambda: libc.syscall(175, b"", 0, b""),
            lambda: libc.syscall(313, 0, b"", 0),
            lambda: libc.syscall(246, 0, 0, 0, 0),
            lambda: libc.syscall(321, 0, 0, 0),
        )])
    """)

    done = network.exec_run(["python3", "-c", code])
    bob.stop_server("network")

    assert done.exit_code == 0, done.output.decode()
    uid, tried = json.loads(done.output.decode().splitlines()[-1])
    assert uid == 0
    assert "done" not in tried, tried
