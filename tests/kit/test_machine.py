"""The emulated machine, in a container that allows no namespaces at all: VLANs and delay, and nothing left of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Inside = Callable[[str], Any]


@pytest.fixture(scope="module")
def container(student_container: Callable[..., Any]) -> Any:
    """A server with the image of `network` and the walls of any other."""
    return student_container("network", nested=False)


@pytest.fixture
def head() -> str:
    """Two hosts at a switch that knows VLANs."""
    return """
from ictlab.net import *
net = Topology("small", emulated=True)
h1, h2, s1 = net.host("h1"), net.host("h2"), net.switch("s1", vlans=True)
net.link("h1:eth0", "s1:p1", "10.0.0.1/24")
net.link("h2:eth0", "s1:p2", "10.0.0.2/24")
"""


def test_vlans_delay_files_and_errors_are_as_on_any_kernel(inside: Inside) -> None:
    seen = inside("""
told = [probe("netns"), net.reaches([("h1", "h2")]).popitem()[1]]
s1.run("bridge vlan add dev p1 vid 10 pvid untagged; bridge vlan del dev p1 vid 1")
told.append(net.reaches([("h1", "h2")]).popitem()[1])
s1.run("bridge vlan add dev p2 vid 10 pvid untagged; bridge vlan del dev p2 vid 1")
net.link_between("h1", "s1").impair(delay_ms=40)
with h2.capture("eth0", "icmp") as file:
    output = h1.run("ping -c 1 -W 3 10.0.0.2")
told += [float(output.rpartition("/")[0].rpartition("/")[0].rpartition("/")[2]) >= 80, file.stat().st_size > 100]
told += [h1.run("cat; exit 3", text="heard", check=False).code, h1.run("cat", text="heard")]
try: h1.run("sleep 100", timeout_s=0.2)
except NetError as error: told.append(str(error))
link = net.link_between("h1", "s1")
link.down()
told.append([link.is_up, s1.ports()["p1"]["state"]])
print(json.dumps(told))
""")

    assert seen[:3] == [{"netns": False}, True, False]
    assert seen[3:7] == [True, True, 3, "heard"]
    assert "no end after 0.2 s" in seen[7]
    assert seen[8] == [False, "disabled"]


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "pass"])
def test_whatever_ends_the_notebook_ends_the_machine(
    inside: Inside, left: Callable[[], list[str]], end: str
) -> None:
    inside(end)

    deadline = time.monotonic() + 30
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == []


def test_a_second_network_runs_in_the_same_machine(inside: Inside) -> None:
    seen = inside("""
other = Topology("other", emulated=True)
other.host("h1")
machines = os.popen("pgrep -c qemu").read().strip()
net.close()
print(json.dumps([machines, other["h1"].run("hostname")]))
""")

    assert seen == ["1", "h1\n"]
