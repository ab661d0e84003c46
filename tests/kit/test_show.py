"""Drawings say in words what they show and trust no text; the progress panel runs checks and gives hints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ictlab.show.network import State, Wire, page, picture, words
from ictlab.show.progress import Progress, ProgressError, read
from nbclient import NotebookClient

from labs import build
from labs.library import CATALOG
from labs.model import Lab

UP = Wire((("r1", "to-r2", ("10.0.0.1/30",)), ("r2", "to-r1", ("10.0.0.2/30",))), True, ("OSPF Full",))
DOWN = Wire((("r2", "a", ()), ("h<b>", "b", ())), False)
STATE = State({"r1": "router", "r2": "router", "h<b>": "host"}, (UP, DOWN), ("r1", "r2"), ("r1", "r2"))


def test_a_drawing_is_the_same_in_words() -> None:
    assert words(STATE) == [
        "Way from r1 to r2: r1 → r2.",
        "r1 to-r2 (10.0.0.1/30) to r2 to-r1 (10.0.0.2/30): up, OSPF Full.",
        "r2 a to h<b> b: DOWN.",
    ]
    assert "r1 to-r2 (10.0.0.1/30)" in picture(STATE).partition('aria-label="')[2].partition('"')[0]


def test_what_is_down_is_broken_and_says_so() -> None:
    drawn = picture(STATE)

    assert drawn.count("stroke-dasharray") == drawn.count('class="ict-down"') == drawn.count("✕ down") == 1


def test_names_are_text_and_no_markup() -> None:
    assert "<b>" not in page(STATE, "<b>net")


def test_a_drawing_is_the_same_each_time() -> None:
    assert picture(STATE) == picture(STATE)


@pytest.fixture(scope="module")
def container(student_container: Callable[[str], Any]) -> Any:
    """A server of the environment `network`."""
    return student_container("network")


@pytest.fixture
def head() -> str:
    """Two routers with two cables between two hosts, and all static."""
    return """
from ictlab.net import Topology
from ictlab.show import network, packets
from ictlab.show.network import words
net = Topology("two")
r1, r2, h1, h2 = net.router("r1"), net.router("r2"), net.host("h1"), net.host("h2")
net.link("h1:eth0", "r1:room", "192.168.1.10/24", "192.168.1.1/24")
cable = net.link("r1:fibre", "r2:fibre", "10.0.0.1/30", "10.0.0.2/30")
net.link("r1:radio", "r2:radio", "10.0.1.1/30", "10.0.1.2/30")
net.link("h2:eth0", "r2:room", "192.168.2.10/24", "192.168.2.1/24")
h1.run("ip route add default via 192.168.1.1"); h2.run("ip route add default via 192.168.2.1")
r1.run("ip route add 192.168.2.0/24 via 10.0.0.2; ip route add 192.168.2.0/24 via 10.0.1.2 metric 9")
r2.run("ip route add 192.168.1.0/24 via 10.0.0.1")
def way(*ends): return words(network(net, way=ends).state)[0]
"""


@pytest.mark.docker
def test_the_way_follows_the_routing_tables(inside: Callable[[str], Any]) -> None:
    seen = inside("""
told = [way("h1", "h2"), way("h1", "10.0.1.2"), way("h1", "8.8.8.8")]
r1.run("ip route del 192.168.2.0/24 via 10.0.0.2; ip route add 192.168.2.0/25 via 192.168.1.10")
told += [way("r1", "h2")]
print(json.dumps(told))
""")

    assert seen == [
        "Way from h1 to h2: h1 → r1 → r2 → h2.",
        "Way from h1 to 10.0.1.2: h1 → r1 → r2.",
        "Way from h1 to 8.8.8.8: h1 → r1: r1 has no way to 8.8.8.8.",
        "Way from r1 to h2: r1 → h1 → r1: it goes round in a circle at r1.",
    ]


@pytest.mark.docker
def test_a_cut_shows(inside: Callable[[str], Any]) -> None:
    seen = inside("""
before = network(net)
cable.down()
after = network(net)
print(json.dumps([[wire.up for wire in view.state.wires] for view in (before, after)]))
""")

    assert seen == [[True] * 4, [True, False, True, True]]


@pytest.mark.docker
def test_a_network_that_grows_meanwhile_is_drawn(inside: Callable[[str], Any]) -> None:
    drawn = inside("""
import threading
def grow():
    for number in range(12):
        net.host(f"x{number}")
        net.link(f"x{number}:eth0", f"r1:x{number}")
growing = threading.Thread(target=grow)
growing.start()
while growing.is_alive():
    network(net)
print(json.dumps(len(network(net).state.wires)))
""")

    assert drawn == 4 + 12


@pytest.mark.docker
def test_packets_are_listed_and_a_wrong_filter_is_a_sentence(inside: Callable[[str], Any]) -> None:
    seen = inside("""
with h1.capture("eth0", "icmp") as file:
    h1.run("ping -c 2 -i 0.2 192.168.2.10")
told = [len(packets(file).rows), packets(file, "icmp.type == 0").rows[0][2:5]]
for name, only in ((file, "icmp ="), ("nothing.pcap", "")):
    try: packets(name, only)
    except Exception as error: told.append(str(error))
print(json.dumps(told))
""")

    assert seen[:2] == [4, ["192.168.2.10", "192.168.1.10", "ICMP"]]
    assert "icmp =" in seen[2]
    assert "nothing.pcap: there is no such file" in seen[3]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """The template's release, as a student has it."""
    file = tmp_path / "ict101" / "net-hosts" / "net-hosts.ipynb"
    file.parent.mkdir(parents=True)
    (made,) = build.release_notebooks(Lab.load(CATALOG.parent / "template")).values()
    nbformat.write(made, file)
    return file


def run(file: Path, code: str) -> str:
    """What code prints in a kernel of its own beside the notebook."""
    cell = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(cell, timeout=60, resources={"metadata": {"path": str(file.parent)}}).execute()
    return "".join(output.get("text", "") for output in cell.cells[0].outputs)


def test_progress_reads_checks_hints_and_points(notebook: Path) -> None:
    (exercise,) = read(notebook)

    assert (exercise.name, exercise.title) == ("hosts", "Count the hosts")
    assert (exercise.points, exercise.hidden_points, len(exercise.checks)) == (1, 2, 1)
    assert [hint.split()[0] for hint in exercise.hints] == ["An", "Each"]


def test_a_check_runs_in_the_kernel_and_is_noted(notebook: Path) -> None:
    code = """
from ictlab.show import progress
panel = progress()
print(panel.check("hosts").state)
def hosts(n): return 2 ** (32 - n) - 2
print(panel.check("hosts").state)
print(panel)
"""
    said = run(notebook, code).splitlines()

    more = "; 2 more when it is graded"
    assert said == [
        f"0 of 1 points{more}",
        f"1 of 1 points{more}",
        f"Count the hosts: 1 of 1 points{more}",
    ]
    events = [json.loads(line) for line in (notebook.parent / ".progress.jsonl").read_text().splitlines()]
    assert [(event["event"], event["earned"]) for event in events] == [("check", 0), ("check", 1)]
    assert repr(Progress(notebook)) == f"Count the hosts: 1 of 1 points{more}"  # after a restart


def test_hints_come_one_by_one_and_are_noted(notebook: Path) -> None:
    panel = Progress(notebook)

    said = [panel.hint("hosts").split()[0] for _ in range(3)]

    assert said == ["An", "Each", "Each"]
    assert Progress(notebook).exercises["hosts"].taken == 2


def test_what_is_no_notebook_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("{")

    with pytest.raises(ProgressError, match=r"x\.ipynb cannot be read as a notebook"):
        Progress(tmp_path / "x.ipynb")


def test_submit_without_an_exchange_says_so(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICTLABS_EXCHANGE_URL", raising=False)

    assert Progress(notebook).submit().startswith("Not handed in: There is no exchange here")
