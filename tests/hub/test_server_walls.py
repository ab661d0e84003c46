"""What a student's server can see and reach: itself, its home, the hub and the portal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.site import DemoSite

Visit = Callable[[DemoSite, str], Any]


@pytest.mark.docker
def test_a_container_has_no_capability_no_new_privileges_and_limits(
    docker_site: DemoSite, visit: Visit, containers_of: Callable[[DemoSite], list[Any]]
) -> None:
    alice = visit(docker_site, "alice")
    alice.login()
    alice.start_server()

    container = next(c for c in containers_of(docker_site) if c.labels["ictlabs.person"] == "alice")
    host = container.attrs["HostConfig"]

    assert container.name.startswith(f"ictlabs-{container.labels['ictlabs.site']}-")  # this site's alone
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert not host["Privileged"]
    assert (host["Memory"], host["PidsLimit"]) == (1024 * 2**20, 512)
    assert host["MemorySwap"] == host["Memory"]
    assert all("docker.sock" not in bind for bind in host["Binds"])


@pytest.mark.docker
def test_a_container_reaches_neither_another_one_nor_the_internet_but_the_portal(
    docker_site: DemoSite, visit: Visit, containers_of: Callable[[DemoSite], list[Any]]
) -> None:
    for name in ("alice", "bob"):
        visitor = visit(docker_site, name)
        visitor.login()
        visitor.start_server()
    by_person = {c.labels["ictlabs.person"]: c for c in containers_of(docker_site)}
    networks = by_person["bob"].attrs["NetworkSettings"]["Networks"]
    bob_ip = next(iter(networks.values()))["IPAddress"]
    code = f"""
import os, socket, urllib.request
def reach(host, port):
    with socket.socket() as s:
        s.settimeout(3)
        return s.connect_ex((host, port)) == 0
portal = urllib.request.urlopen(os.environ["ICTLABS_EXCHANGE_URL"].removesuffix("api/exchange") + "health", timeout=10).status
print(portal, reach("{bob_ip}", 8888), reach("192.0.2.1", 80), reach("169.254.169.254", 80))
"""

    result = by_person["alice"].exec_run(
        ["python3", "-c", code], environment=_environment(by_person["alice"])
    )

    assert result.output.decode().split() == ["200", "False", "False", "False"]


def _environment(container: Any) -> dict[str, str]:
    return dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])


@pytest.mark.docker
def test_an_instructor_sees_the_course_folder_and_a_student_does_not(
    docker_site: DemoSite, visit: Visit, containers_of: Callable[[DemoSite], list[Any]]
) -> None:
    for name in ("alice", "teacher"):
        visitor = visit(docker_site, name)
        visitor.login()
        visitor.start_server()
    by_person = {c.labels["ictlabs.person"]: c for c in containers_of(docker_site)}

    student = by_person["alice"].exec_run(
        [
            "sh",
            "-c",
            "ls /home/student/courses 2>&1; find / -name gradebook.db -not -path '*/site-packages/*' 2>/dev/null",
        ]
    )
    instructor = by_person["teacher"].exec_run(["ls", "/home/student/courses/ict101"])

    assert b"gradebook.db" not in student.output
    assert b"gradebook.db" in instructor.output


def test_a_jailed_server_sees_its_home_and_neither_others_nor_the_site(
    process_site: DemoSite, visit: Visit, root: Path
) -> None:
    alice = visit(process_site, "alice")
    alice.login()
    server = alice.start_server()
    secret = process_site.folder / "var" / "secrets" / "portal_token"
    assert secret.exists()

    code = f"""
import os, json
from pathlib import Path
def sees(path):
    try: return Path(path).exists()
    except OSError: return False
others = [p for p in Path('/proc').glob('[0-9]*') if b'hub.portal' in (p / 'cmdline').read_bytes()]
print(json.dumps(dict(home=sees('/home/student'), uid=os.getuid(), secret=sees({str(secret)!r}),
    labs=sees({str(root / "labs" / "catalog")!r}), data=sees({str(process_site.folder)!r}), others=len(others))))
"""
    seen = run_in_server(alice, str(server["url"]), code)

    assert seen["home"]
    assert seen["uid"] != 0
    assert not (seen["secret"] or seen["labs"] or seen["data"])
    assert seen["others"] == 0


def run_in_server(visitor: Any, url: str, code: str) -> dict[str, Any]:
    """Run code in a kernel of the server, as its owner does, and read what it printed as JSON."""
    import uuid

    import websocket

    visitor.http.get(f"{url}lab")  # the server's own login
    xsrf = next(c.value for c in visitor.http.cookies.jar if c.name == "_xsrf" and c.path == url)
    kernel = visitor.http.post(f"{url}api/kernels", headers={"X-XSRFToken": xsrf}, json={}).json()["id"]
    cookies = "; ".join(f"{c.name}={c.value}" for c in visitor.http.cookies.jar if url.startswith(c.path))
    address = f"{visitor.site.url.replace('http', 'ws')}{url}api/kernels/{kernel}/channels"
    channel = websocket.create_connection(address, cookie=cookies, timeout=60)
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": "s",
        "username": "",
        "version": "5.3",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
    }
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    channel.send(json.dumps(message))
    while True:
        answer = json.loads(channel.recv())
        if answer["msg_type"] == "stream":
            channel.close()
            return dict(json.loads(answer["content"]["text"]))
        assert answer["msg_type"] != "error", answer["content"]
