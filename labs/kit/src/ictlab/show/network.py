"""A network drawn with what is true now: links up or down, neighbours, and the way that packets take."""

from __future__ import annotations

import html
import json
import math
import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ictlab.net.topology import Link, Node, Router, Topology

WIDTH, HEIGHT, MARGIN = 640, 360, 60
SHORT = 110  # a line without room for the names of its interfaces
LOOK_S = 1.0  # between two looks; longer where a look takes long
LONGEST_WAY = 20  # nodes
GRADING = "NBGRADER_EXECUTION"  # set where a notebook is graded: nobody watches there
MUCH = 5  # a look may take a fifth of the time
Point = tuple[float, float]


@dataclass(frozen=True)
class Wire:
    """A link as it is: its ends as (node, interface, addresses), up, and what routers say of each other over it."""

    ends: tuple[tuple[str, str, tuple[str, ...]], tuple[str, str, tuple[str, ...]]]
    up: bool
    neighbours: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As `r1:to-r2 -- r2:to-r1`."""
        return " -- ".join(f"{node}:{interface}" for node, interface, _ in self.ends)


@dataclass(frozen=True)
class State:
    """A whole network as it is. kinds: node -> host, switch or router. way: the nodes that a packet passes."""

    kinds: Mapping[str, str]
    wires: tuple[Wire, ...]
    way: tuple[str, ...] = ()
    asked: tuple[str, str] | None = None
    problem: str = ""
    at: float = field(default=0.0, compare=False)

    @property
    def arrives(self) -> bool:
        """Whether the way ends where it should."""
        return bool(self.way) and not self.problem


def look(net: Topology, way: tuple[str, str] | None = None) -> State:
    """Ask every node. Raises NetError where the network is gone."""
    links = list(net.links)  # before the nodes: a cell may add both while this looks, a link after its nodes
    nodes = list(net.nodes.values())
    names = [node.name for node in nodes]
    with ThreadPoolExecutor(8) as pool:
        interfaces = dict(zip(names, pool.map(lambda node: node.interfaces(), nodes), strict=True))
        peers = dict(zip(names, pool.map(_peers, nodes), strict=True))
    wires = []
    for link in links:
        seen = [interfaces[end.node.name].get(end.interface, {}) for end in (link.one, link.two)]
        one, two = (
            (end.node.name, end.interface, tuple(found.get("addresses", ())))
            for end, found in zip((link.one, link.two), seen, strict=True)
        )
        said = sorted(
            f"{protocol} {state}"
            for end in (link.one, link.two)
            for protocol, interface, state in peers[end.node.name]
            if interface == end.interface
        )
        up = all(found.get("up") for found in seen)
        wires.append(Wire((one, two), up, tuple(dict.fromkeys(said))))
    passed, problem = _follow(net, way, wires) if way else ((), "")
    kinds = {node.name: node.kind for node in nodes}
    return State(kinds, tuple(wires), passed, way, problem, time.monotonic())


def _peers(node: Node) -> list[tuple[str, str, str]]:
    """What a router says of its neighbours: (protocol, interface, state)."""
    if not isinstance(node, Router) or not node.frr.started:
        return []
    found = []
    if "ospfd" in node.frr.daemons:
        for each in node.show("ip ospf neighbor").get("neighbors", {}).values():
            for one in each:
                interface = one.get("ifaceName", one.get("interfaceName", "")).partition(":")[0]
                found.append(("OSPF", interface, one.get("nbrState", one.get("state", "")).partition("/")[0]))
    if "bgpd" in node.frr.daemons:
        for address, state in node.neighbours("bgp").items():
            route = _route(node, address)
            found.append(("BGP", route[0].get("dev", "") if route else "", state))
    return found


def _route(node: Node, address: str) -> list[dict[str, Any]]:
    """Where the node's kernel sends a packet for `address`; empty where it has no way."""
    told = node.run(f"ip -j route get {shlex.quote(address)}", check=False)
    return list(json.loads(told)) if told.code == 0 and told.startswith("[") else []


class _Lost(Exception):
    """A packet does not get further; the message says where and why."""


def _follow(net: Topology, way: tuple[str, str], wires: Sequence[Wire]) -> tuple[tuple[str, ...], str]:
    """The nodes on the way, by each node's own routing table, and what is wrong with it, if anything is."""
    source, target = way
    passed = [source]
    try:
        for node in _steps(net, source, target, wires):
            passed.append(node)
            if node in passed[:-1]:
                raise _Lost(f"it goes round in a circle at {node}")
            if len(passed) == LONGEST_WAY:
                raise _Lost("it is too long")
    except _Lost as problem:
        return tuple(passed), str(problem)
    return tuple(passed), ""


def _steps(net: Topology, source: str, target: str, wires: Sequence[Wire]) -> Iterator[str]:
    """Each further node on the way of a packet. Raises _Lost."""
    owners = {address.partition("/")[0]: end[0] for wire in wires for end in wire.ends for address in end[2]}
    cables = {
        end[:2]: (wire.up, wire.ends[1 - place][0]) for wire in wires for place, end in enumerate(wire.ends)
    }
    address = next((address for address, owner in owners.items() if owner == target), "")
    if target in net.nodes and not address:
        raise _Lost(f"{target} has no address")
    address, node = address or target, source
    while owners.get(address) != node:
        told = _route(net[node], address)
        if not told or told[0].get("type") in ("unreachable", "blackhole", "prohibit"):
            raise _Lost(f"{node} has no way to {address}")
        if told[0].get("type") == "local":
            return
        hop = told[0].get("gateway", address)
        up, other = cables.get((node, told[0].get("dev", "")), (True, node))
        if not up:
            raise _Lost(f"{node} sends it into a cable that is down")
        if net[other].kind == "switch":
            yield other
        if hop not in owners:
            raise _Lost(f"nobody has the address {hop}, where {node} sends it")
        node = owners[hop]
        yield node


# ---------------------------------------------------------------- words and picture


def words(state: State) -> list[str]:
    """The picture in sentences: the way first, then each link."""
    said = []
    if state.asked:
        source, target = state.asked
        steps = " → ".join(state.way)
        said.append(
            f"Way from {source} to {target}: {steps}{f': {state.problem}.' if state.problem else '.'}"
        )
    for wire in state.wires:
        ends = " to ".join(
            f"{node} {interface}{f' ({chr(44).join(addresses)})' if addresses else ''}"
            for node, interface, addresses in wire.ends
        )
        more = f", {', '.join(wire.neighbours)}" if wire.neighbours else ""
        said.append(f"{ends}: {'up' if wire.up else 'DOWN'}{more}.")
    return said


def picture(state: State, name: str = "network") -> str:
    """SVG. Lines that are down are broken and say so; the way is a thick line with its nodes named below."""
    places = _places(tuple(state.kinds), tuple((w.ends[0][0], w.ends[1][0]) for w in state.wires))
    steps = {frozenset(pair) for pair in zip(state.way, state.way[1:], strict=False)}
    label = html.escape(f"{name}: " + " ".join(words(state)), quote=True)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg" '
        'style="max-width:100%;width:44em;height:auto;font:12px sans-serif;color:var(--jp-ui-font-color1,#222)" '
        'fill="currentColor">'
    ]
    twins: dict[frozenset[str], int] = {}
    for wire in state.wires:
        pair = frozenset((wire.ends[0][0], wire.ends[1][0]))
        twins[pair] = twins.get(pair, -1) + 1
        parts.append(_line(wire, places, twins[pair], on_way=pair in steps and wire.up))
    parts += [
        _shape(node, kind, places[node], on_way=node in state.way) for node, kind in state.kinds.items()
    ]
    return "".join(parts) + "</svg>"


def _line(wire: Wire, places: Mapping[str, Point], twin: int, *, on_way: bool) -> str:
    (one, name_one, addresses_one), (two, name_two, addresses_two) = wire.ends
    (x1, y1), (x2, y2) = places[one], places[two]
    length = math.hypot(x2 - x1, y2 - y1) or 1
    aside = 14 * twin  # a second cable between the same two lies beside the first
    dx, dy = -(y2 - y1) / length * aside, (x2 - x1) / length * aside
    x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 + dx, y2 + dy
    style = 'stroke-width="5"' if on_way else 'stroke-width="1.5"'
    if not wire.up:
        style += ' stroke-dasharray="3 7"'
    title = html.escape(f"{wire.name} {', '.join((*addresses_one, *addresses_two))}")
    parts = [
        f'<g><title>{title}</title><line class="ict-{"up" if wire.up else "down"}" x1="{x1:.0f}" y1="{y1:.0f}" '
        f'x2="{x2:.0f}" y2="{y2:.0f}" stroke="currentColor" {style}/>'
    ]
    near = 26 / length + 0.1
    for at, text in ((near, name_one), (1 - near, name_two)) if length > SHORT else ():
        parts.append(_text(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at - 4, text, small=True))
    said = ", ".join(wire.neighbours) if wire.up else "✕ down"
    if said:
        parts.append(_text((x1 + x2) / 2, (y1 + y2) / 2 + 12, said, bold=not wire.up))
    return "".join(parts) + "</g>"


def _text(x: float, y: float, text: str, *, small: bool = False, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    halo = 'style="paint-order:stroke;stroke:var(--jp-layout-color0,#fff);stroke-width:4px"'  # over the lines
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="{10 if small else 12}"{weight} {halo}>'
        f"{html.escape(text)}</text>"
    )


def _shape(node: str, kind: str, place: Point, *, on_way: bool) -> str:
    x, y = place
    style = f'style="fill:var(--jp-layout-color1,#fff)" stroke="currentColor" stroke-width="{4 if on_way else 1.5}"'
    half = max(18, 4 * len(node) + 8)
    if kind == "router":
        drawn = f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{half + 4}" ry="19" {style}/>'
    else:
        round_by = 3 if kind == "switch" else 9
        drawn = f'<rect x="{x - half:.0f}" y="{y - 15:.0f}" width="{2 * half}" height="30" rx="{round_by}" {style}/>'
    sort = "" if kind == "host" else _text(x, y + 13, kind, small=True)
    name = f'<text x="{x:.0f}" y="{y + (4 if kind == "host" else 2):.0f}" text-anchor="middle" font-weight="bold">'
    return f"<g><title>{kind} {html.escape(node)}</title>{drawn}{name}{html.escape(node)}</text>{sort}</g>"


_known: dict[object, dict[str, Point]] = {}


def _places(nodes: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> dict[str, Point]:
    """Where each node stands: links pull, all push (Fruchterman and Reingold 1991); the same each time."""
    key = (nodes, pairs)
    if key in _known:
        return _known[key]
    count = max(len(nodes), 1)
    at = _first_places(nodes, pairs)
    ideal = math.sqrt(4 / count)
    for turn in range(300):
        moves = {name: [0.0, 0.0] for name in nodes}
        for one in nodes:
            for two in nodes:
                if one != two:
                    dx, dy = at[one][0] - at[two][0], at[one][1] - at[two][1]
                    far = math.hypot(dx, dy) or 0.01
                    moves[one][0] += dx / far * ideal**2 / far
                    moves[one][1] += dy / far * ideal**2 / far
        for one, two in pairs:
            dx, dy = at[one][0] - at[two][0], at[one][1] - at[two][1]
            far = math.hypot(dx, dy)
            for name, sign in ((one, -1), (two, 1)):
                moves[name][0] += sign * dx * far / ideal
                moves[name][1] += sign * dy * far / ideal
        heat = 0.1 * (1 - turn / 300)
        for name, (dx, dy) in moves.items():
            far = math.hypot(dx, dy) or 1
            at[name][0] += dx / far * min(far, heat)
            at[name][1] += dy / far * min(far, heat)
    xs, ys = [p[0] for p in at.values()] or [0], [p[1] for p in at.values()] or [0]
    wide, high = (max(xs) - min(xs)) or 1, (max(ys) - min(ys)) or 1
    _known[key] = {
        name: (
            MARGIN + (x - min(xs)) / wide * (WIDTH - 2 * MARGIN) if wide > 1e-6 else WIDTH / 2,
            MARGIN / 2 + 10 + (y - min(ys)) / high * (HEIGHT - MARGIN - 20)
            if len(set(ys)) > 1
            else HEIGHT / 2,
        )
        for name, (x, y) in at.items()
    }
    return _known[key]


def _first_places(nodes: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> dict[str, list[float]]:
    """What has several links on a circle, and what hangs on one of those outside of it."""
    near: dict[str, list[str]] = {name: [] for name in nodes}
    for one, two in pairs:
        near[one].append(two)
        near[two].append(one)
    inner = [name for name in nodes if len(set(near[name])) > 1] or list(nodes)
    at = {}
    for number, name in enumerate(inner):
        turn = 2 * math.pi * number / len(inner)
        at[name] = [math.cos(turn), math.sin(turn)]
    hanging: dict[str, int] = {}
    for name in nodes:
        if name in at:
            continue
        parent = near[name][0] if near[name] else inner[0]
        hanging[parent] = hanging.get(parent, 0) + 1
        x, y = at.get(parent, [1.0, 0.0])
        turn = math.atan2(y, x) + 0.35 * (hanging[parent] - 1)
        at[name] = [2 * math.cos(turn), 2 * math.sin(turn)]
    return at


def page(state: State, name: str) -> str:
    """The picture, and the same in words."""
    said = words(state)
    first = f"<p><strong>{html.escape(said[0])}</strong></p>" if state.asked else ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in said[bool(state.asked) :])
    return f"{picture(state, name)}{first}<details><summary>The same in words</summary><ul>{items}</ul></details>"


# ---------------------------------------------------------------- live


class NetworkView:
    """The drawing of a network. Where widgets run it looks again each second and redraws what changed."""

    def __init__(self, net: Topology, way: tuple[str, str] | None) -> None:
        """Look once; watching starts when it is shown."""
        self.net, self.way = net, way
        self.state = look(net, way)
        self._box: Any = None
        self._stop = threading.Event()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()

    def __repr__(self) -> str:
        return "\n".join([f"network {self.net.name}", *words(self.state)])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": page(self.state, self.net.name)}
        if self._box is None and _widgets_run():
            self._build()
        if self._box is not None:
            view = "application/vnd.jupyter.widget-view+json"
            bundle |= {
                kind: data for kind, data in (self._box._repr_mimebundle_() or {}).items() if kind == view
            }
        return bundle

    def _build(self) -> None:
        import ipywidgets

        self._page = ipywidgets.HTML()
        nodes = list(self.net.nodes)
        cables = [(repr(link), link) for link in self.net.links]
        style = {"description_width": "initial"}
        self._cable = ipywidgets.Dropdown(options=cables, description="Cable", style=style)
        self._cut = ipywidgets.Button(description="Cut or mend it")
        start, end = self.way or ("", "")
        self._from = ipywidgets.Dropdown(
            options=["", *nodes], value=start, description="Way from", style=style
        )
        ends = ["", *nodes] if end in ("", *nodes) else ["", *nodes, end]
        self._to = ipywidgets.Dropdown(options=ends, value=end, description="to", style=style)
        self._cut.on_click(self._toggle)
        for choice in (self._from, self._to):
            choice.observe(self._ask, names="value")
        self._box = ipywidgets.VBox(
            [
                self._page,
                ipywidgets.HBox([self._cable, self._cut], layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([self._from, self._to], layout={"flex_flow": "row wrap"}),
            ]
        )
        self._draw()
        threading.Thread(target=self._watch, name=f"show {self.net.name}", daemon=True).start()

    def _toggle(self, _button: object) -> None:
        link: Link = self._cable.value
        (link.down if link.is_up else link.up)()
        self._again()

    def _ask(self, _change: object) -> None:
        source, target = self._from.value, self._to.value
        self.way = (source, target) if source and target and source != target else None
        self._again()

    def _again(self) -> None:
        seen = look(self.net, self.way)
        if seen != self.state or self._page.value == "":
            self.state = seen
            self._draw()

    def _draw(self) -> None:
        self._page.value = f'<div role="status" aria-live="polite">{page(self.state, self.net.name)}</div>'

    def _watch(self) -> None:
        pause = LOOK_S
        while not self._stop.wait(pause):
            begin = time.monotonic()
            try:
                self._again()
            except Exception:  # a daemon that restarts, threads that run out: the next look may be well
                if not self.net.is_open:
                    self._page.value += "<p>This network has ended.</p>"
                    return
            pause = max(LOOK_S, MUCH * (time.monotonic() - begin))


def network(net: Topology | None = None, *, way: tuple[str, str] | None = None) -> NetworkView:
    """Draw a network as it is now, and go on drawing. Put it last in a cell.

    net: the newest one if left out. way: two nodes, or a node and an address, to show the way between them.
    """
    from ictlab.net.topology import newest

    return NetworkView(net or newest(), way)


def _widgets_run() -> bool:
    """Whether somebody may be there to see a widget."""
    if os.environ.get(GRADING):
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


__all__ = ["NetworkView", "State", "Wire", "look", "network", "page", "picture", "words"]
