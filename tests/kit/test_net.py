"""ictlab.net in a container with a student's walls: real routers, real links, and nothing left when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ictlab.net.topology import INTERFACE, NAME

pytestmark = pytest.mark.docker
Inside = Callable[[str], Any]


@pytest.fixture(scope="module")
def container(student_container: Callable[[str], Any]) -> Any:
    """A server of the environment `network`, with nothing running in it."""
    return student_container("network")


@pytest.fixture
def head() -> str:
    """What every piece of code starts with."""
    return "from ictlab.net import *"


HOSTS = """
net = Topology("two")
r1 = net.router("r1")
for n in (1, 2):
    net.host(f"h{n}")
    net.link(f"h{n}:eth0", f"r1:eth{n}", f"10.0.{n}.2/24", f"10.0.{n}.1/24")
    net[f"h{n}"].run(f"ip route add default via 10.0.{n}.1")
h1, h2 = net["h1"], net["h2"]
"""
TRIANGLE = """
net = Topology("triangle")
routers = [net.router(f"r{n}", "ospfd") for n in (1, 2, 3)]
for a, b in ((1, 2), (2, 3), (1, 3)):
    net.link(f"r{a}:to-r{b}", f"r{b}:to-r{a}", f"10.0.{a}{b}.1/30", f"10.0.{a}{b}.2/30")
for n in (1, 3):
    net.host(f"h{n}")
    net.link(f"h{n}:eth0", f"r{n}:room", f"192.168.{n}.2/24", f"192.168.{n}.1/24")
    net[f"h{n}"].run(f"ip route add default via 192.168.{n}.1")
net.start()
for router in routers:
    router.vtysh("configure terminal\\nrouter ospf\\nnetwork 0.0.0.0/0 area 0")
def until(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
until(lambda: net["h1"].ping("192.168.3.2", wait_s=0.3))
"""


def test_three_routers_speak_ospf_and_go_round_a_cut_cable(inside: Inside) -> None:
    seen = inside(
        TRIANGLE
        + """
r1 = net["r1"]
before = r1.routes()["192.168.3.0/24"]
until(lambda: len(r1.neighbours()) == 2 and set(r1.neighbours().values()) == {"Full"})
full = sorted(r1.neighbours().values())
cable = net.link_between("r1", "r3")
cable.down()
until(lambda: net["h1"].ping("192.168.3.2", wait_s=0.3))
print(json.dumps([before, full, cable.is_up, net["h1"].path_to("192.168.3.2")]))
"""
    )

    before, full, is_up, path = seen
    assert (before["via"], before["protocol"]) == (["10.0.13.2"], "ospf")
    assert full == ["Full", "Full"]
    assert not is_up
    assert path == ["192.168.1.1", "10.0.12.2", "10.0.23.2", "192.168.3.2"]


def test_a_cut_cable_that_is_mended_has_its_routes_again(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + """
cable = net.link_between("r1", "h1")
r1.run("ip route add 10.9.0.0/16 via 10.0.1.2")
cable.down()
cut = h2.ping("10.0.1.2", wait_s=0.3)
cable.up()
deadline = time.monotonic() + 30
while not h2.ping("10.0.1.2", wait_s=0.3) and time.monotonic() < deadline: pass
print(json.dumps([cut, h2.ping("10.0.1.2"), "10.9.0.0/16" in r1.routes()]))
"""
    )

    assert seen == [False, True, True]


def test_who_reaches_whom_is_asked_all_at_once(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + "r1.run(\"nft add table ip t; nft add chain ip t f '{ type filter hook forward priority 0; policy drop; }'\")\n"
        + 'print(json.dumps(list(net.reaches([("h1", "h2"), ("h1", "r1"), ("h1", "10.0.1.1")], wait_s=0.5).values())))'
    )

    assert seen == [False, True, True]


def test_packets_are_recorded(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + """
with r1.capture("eth1", "icmp", file="/tmp/seen.pcap") as file:
    h1.ping("10.0.2.2")
print(json.dumps(r1.run(f"tcpdump -n -r {file} 2>/dev/null").count("ICMP echo re")))
"""
    )

    assert seen == 2


def test_a_command_that_takes_too_long_ends_with_what_it_started(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + """
try:
    h1.run("sleep 77 & sleep 77", timeout_s=0.3)
except NetError as error:
    left, deadline = lambda: h1.run("pgrep -fc 'sleep 7[7]'", check=False).strip(), time.monotonic() + 30
    while left() != "0" and time.monotonic() < deadline: time.sleep(0.05)
    print(json.dumps([str(error), left()]))
"""
    )

    assert "no end after 0.3 s" in seen[0]
    assert seen[1] == "0"


def test_a_service_runs_as_long_as_its_block(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + """
with h2.background("python3 -m http.server 80"):
    deadline = time.monotonic() + 30
    while ("tcp", 80) not in h2.listening() and time.monotonic() < deadline: time.sleep(0.05)
    code = h1.run("curl -s -o /dev/null -w '%{http_code}' http://10.0.2.2/", check=False)
deadline = time.monotonic() + 30
while ("tcp", 80) in h2.listening() and time.monotonic() < deadline: time.sleep(0.05)
print(json.dumps([code, ("tcp", 80) in h2.listening()]))
"""
    )

    assert seen == ["200", False]


def test_a_node_sees_nothing_of_the_containers_own_network(inside: Inside) -> None:
    assert inside(HOSTS + "print(json.dumps([sorted(h1.interfaces()), h1.routes()['default']['via']]))") == [
        ["eth0"],
        ["10.0.1.1"],
    ]


def test_the_same_name_again_is_a_fresh_start(inside: Inside) -> None:
    seen = inside(
        HOSTS
        + """
old = net
net = Topology("two")
try: old["h1"].run("true")
except NetError as error: print(json.dumps([str(error), list(net.nodes)]))
"""
    )

    assert "gone" in seen[0]
    assert seen[1] == []


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("net.host('h1')", "already"),
        ("net.host('Big Name')", "no name for a node"),
        ("net['h9']", "There are: r1, h1, h2"),
        ("net.link('h1:eth0', 'h2:eth5')", "has a link already"),
        ("net.link('h1:this-name-is-too-long', 'h2:eth5')", "no name for an interface"),
        ("net.router('r9', 'eigrpd')", "no daemon 'eigrpd'"),
        ("r1.vtysh('configure terminal\\nrouter osfp')", "Unknown command: router osfp"),
        ("h1.run('false')", "exit status 1"),
        ("h1.run('no-such-program')", "not found"),
    ],
)
def test_a_mistake_is_a_sentence(inside: Inside, mistake: str, said: str) -> None:
    seen = inside(f"{HOSTS}\ntry: {mistake}\nexcept NetError as error: print(json.dumps(str(error)))")

    assert said in seen


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "net.close()", "pass"]
)
def test_whatever_ends_the_notebook_leaves_no_process(
    inside: Inside, left: Callable[[], list[str]], end: str
) -> None:
    inside(TRIANGLE + end)

    assert _soon_empty(left) == []


def test_a_killed_helper_leaves_no_process_and_is_told(inside: Inside, left: Callable[[], list[str]]) -> None:
    seen = inside(
        TRIANGLE
        + """
os.system("pkill -9 -f [n]et/helper.py")
time.sleep(0.3)
try: net["h1"].run("true")
except NetError as error: print(json.dumps(str(error)))
"""
    )

    assert "Run the notebook from its first cell again" in seen
    assert _soon_empty(left) == []


def test_features_are_tried_and_not_guessed(inside: Inside) -> None:
    seen = inside("print(json.dumps(probe()))")

    assert {"netns", "veth", "bridge", "nftables", "nat"} <= {name for name, there in seen.items() if there}
    assert "no feature 'teleport'" in inside("probe('teleport')")


def test_what_the_host_lacks_and_a_machine_can_do_is_told_apart(inside: Inside) -> None:
    seen = inside("""
from ictlab.net.probe import answers
print(json.dumps([answers(), probe("acl", "pytorch", "userns"), probe()]))
""")
    told, others, networks = seen

    assert others == {"acl": True, "pytorch": False, "userns": True}
    assert {name: told[name] for name in others} == {"acl": "yes", "pytorch": "no", "userns": "yes"}
    assert {name: told[name] for name in networks} == {
        name: "yes" if there else "emulated" for name, there in networks.items()
    }


def test_a_slow_and_lossy_cable_is_one_or_says_what_it_needs(inside: Inside) -> None:
    seen = inside(
        TRIANGLE
        + """
told = []
try: net.links[0].impair(loss_percent=101)
except NetError as error: told.append(str(error))
try:
    net.links[0].impair(delay_ms=50)
    told.append(net.links[0].one.node.run("tc qdisc show dev " + net.links[0].one.interface))
    net.links[0].impair()
    told.append(net.links[0].one.node.run("tc qdisc show dev " + net.links[0].one.interface))
except NetError as error: told.append(str(error))
print(json.dumps([probe("netem")["netem"], *told]))
"""
    )

    assert "no loss above 100" in seen[1]
    if seen[0]:
        assert "netem" in seen[2] and "netem" not in seen[3]
    else:
        assert 'Make the network with needs=["netem"]' in seen[2]


def test_captures_open_in_scapy(inside: Inside) -> None:
    seen = inside(
        TRIANGLE
        + """
from scapy.all import ICMP, rdpcap
one = net.links[0]
peer = one.two.node.interfaces()[one.two.interface]["addresses"][0].partition("/")[0]
with one.one.node.capture(one.one.interface, "icmp") as file:
    one.one.node.run(f"ping -c 2 -i 0.2 {peer}")
print(json.dumps(len([packet for packet in rdpcap(str(file)) if ICMP in packet])))
"""
    )

    assert seen == 4


def test_thirty_routers_fit_beside_a_notebook_server(container: Any, inside: Inside) -> None:
    """In 512 MiB, which the fixture's container has."""
    container.exec_run(["jupyter", "lab", "--no-browser"], detach=True)
    container.exec_run(["timeout", "60", "sh", "-c", "until curl -s 127.0.0.1:8888/api; do sleep 0.1; done"])

    seen = inside("""
net = Topology("ring")
routers = [net.router(f"r{n}", "ospfd") for n in range(30)]
for n in range(30):
    net.link(f"r{n}:next", f"r{(n + 1) % 30}:before", f"10.0.{n}.1/30", f"10.0.{n}.2/30")
net.start()
for router in routers:
    router.vtysh("configure terminal\\nrouter ospf\\nnetwork 10.0.0.0/8 area 0")
wanted, end = {f"10.0.{n}.0/30" for n in range(30)}, time.monotonic() + 180
while not all(wanted <= router.routes().keys() for router in routers) and time.monotonic() < end:
    time.sleep(0.2)
print(json.dumps(sum(wanted <= router.routes().keys() for router in routers)))
""")

    assert seen == 30
    assert container.exec_run(["pkill", "-x", "jupyter-lab"])[0] == 0  # it was not the price


def test_names_fit_what_the_kernel_takes() -> None:
    assert NAME.match("r1") and not NAME.match("1r") and not NAME.match("r" * 15)
    assert INTERFACE.match("to-r2") and not INTERFACE.match("a/b") and not INTERFACE.match("e" * 16)


def _soon_empty(left: Callable[[], list[str]]) -> list[str]:
    import time

    deadline = time.monotonic() + 30
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
