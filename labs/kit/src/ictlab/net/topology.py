"""A network as a student sees it: hosts, switches, routers and links as Python objects on real kernel namespaces."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictlab.net.frr import Frr
from ictlab.net.namespaces import Ended, Namespaces, NetError
from ictlab.net.probe import probe

NAME = re.compile(r"^[a-z][a-z0-9-]{0,13}$")
INTERFACE = re.compile(r"^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$")
BRIDGE = "br0"  # a switch's ports are members of this
TIMEOUT_S = 20.0
STARTS = 6  # routers that start at once: a start takes 4 MiB more than the router keeps
QUIET_S = 0.2  # a recording into which nothing came for so long has what was on its way
LAST_PACKETS_S = 3.0  # where something always comes
_open: dict[str, Topology] = {}  # by name: the same name again means a fresh start


class Output(str):
    """What a command printed; shown as it is when it stands last in a cell."""

    code: int

    def __new__(cls, text: str, code: int = 0) -> Output:
        made = super().__new__(cls, text)
        made.code = code
        return made

    def __repr__(self) -> str:
        return self.rstrip("\n")


@dataclass(frozen=True)
class End:
    """One end of a link: an interface of a node."""

    node: Node
    interface: str

    def __str__(self) -> str:
        return f"{self.node.name}:{self.interface}"


class Link:
    """A cable. Cut it with `down()`, mend it with `up()`."""

    def __init__(self, one: End, two: End) -> None:
        """Made by Topology.link."""
        self.one, self.two = one, two
        self._routes: list[str] = []  # that went when the cable was cut, and come back with it

    def __repr__(self) -> str:
        return f"{self.one} -- {self.two}"

    def down(self) -> None:
        """Cut the cable: both ends lose their carrier."""
        node, interface = self.two.node, self.two.interface
        # one end is switched off, so the other has no carrier. Linux forgets the routes of the one: we do not
        self._routes = node.run(
            f"ip route show dev {interface} proto static; ip route show dev {interface} proto boot"
        ).splitlines()
        node.run(f"ip link set dev {interface} down")

    def up(self) -> None:
        """Mend the cable."""
        node, interface = self.two.node, self.two.interface
        node.run(f"ip link set dev {interface} up")
        for route in self._routes:
            node.run(f"ip route replace {route.replace('linkdown', '')} dev {interface}", check=False)
        self._routes = []

    def impair(self, *, delay_ms: float = 0, loss_percent: float = 0) -> None:
        """Make the cable slow and lossy, the same in both directions; without values it is as good as new.

        delay_ms: each way, so that a ping takes twice that. Raises NetError where the kernel has no netem: a network
        made with needs=["netem"] then runs in an emulated machine.

            link.impair(delay_ms=40, loss_percent=1)
        """
        if delay_ms < 0 or not 0 <= loss_percent <= 100:
            raise NetError(
                f"delay_ms={delay_ms}, loss_percent={loss_percent}: no delay is below 0, no loss above 100."
            )
        for end in (self.one, self.two):
            way = f"dev {end.interface} root"
            if delay_ms or loss_percent:
                told = end.node.run(
                    f"tc qdisc replace {way} netem delay {delay_ms:g}ms loss {loss_percent:g}%", check=False
                )
                if told.code:
                    raise NetError(f'{end}: {told.strip()}. Make the network with needs=["netem"].')
            else:
                end.node.run(f"tc qdisc del {way} 2>/dev/null", check=False)

    @property
    def is_up(self) -> bool:
        """Whether both ends are up and have a carrier."""
        return all(
            end.node.interfaces().get(end.interface, {}).get("up", False) for end in (self.one, self.two)
        )


class Node:
    """A machine in the network: its own interfaces, addresses, routes, host name and files in /run and /etc/frr."""

    kind = "host"

    def __init__(self, net: Topology, name: str) -> None:
        """Made by Topology.host, .switch and .router."""
        self.net, self.name = net, name

    def __repr__(self) -> str:
        ports = ", ".join(
            sorted(
                end.interface for link in self.net.links for end in (link.one, link.two) if end.node is self
            )
        )
        return f"{self.kind} {self.name} ({ports or 'no links yet'})"

    def run(
        self, command: str, *, check: bool = True, timeout_s: float = TIMEOUT_S, text: str = ""
    ) -> Output:
        """Run a shell command in this node and return what it printed.

        check: an exit status other than 0 is a NetError. text: goes to its standard input.

            h1.run("ping -c 1 10.0.0.1")
        """
        code, printed = self.net.space.run(self.name, ["sh", "-c", command], timeout_s=timeout_s, text=text)
        if check and code:
            raise NetError(f"{self.name}: {command}: exit status {code}\n{printed}".rstrip())
        return Output(printed, code)

    def script(
        self, lines: str, *, heard: Callable[[str], None] | None = None, timeout_s: float = 300.0
    ) -> int:
        """Run lines of bash in this node, as one script; returns the last exit status. `heard` gets what is printed."""
        code, printed = self.net.space.run(self.name, ["bash", "-c", lines], timeout_s=timeout_s, heard=heard)
        if heard is None:
            print(printed, end="")
        return code

    @contextmanager
    def background(self, command: str, output: Path | str | None = None) -> Iterator[None]:
        """Run a command while the `with` block runs, then end it. output: a file for what it prints.

        with h2.background("iperf3 -s"):
            h1.run("iperf3 -c 10.0.0.2 -t 1")
        """
        with Path(output or "/dev/null").open("wb") as out, Path("/dev/null").open("rb") as empty:
            running = self.net.space.start(
                self.name, ["sh", "-c", f"exec {command}"],
                stdin=empty.fileno(), stdout=out.fileno(), stderr=out.fileno(), env={},
            )  # fmt: skip
        with running:
            yield
            if running.wait(0.001) not in (None, 0):
                raise NetError(f"{self.name}: {command}: it ended by itself, with exit status {running.code}")

    @contextmanager
    def capture(
        self, interface: str, expression: str = "", *, file: Path | str = "capture.pcap"
    ) -> Iterator[Path]:
        """Record packets while the `with` block runs, and after it until no more come, into a file for tshark or scapy.

        with r1.capture("eth0", "icmp") as file:
            h1.run("ping -c 3 10.0.2.1")
        """
        path = Path(file).absolute()
        path.unlink(missing_ok=True)
        words = f"tcpdump -U --immediate-mode -n -i {shlex.quote(interface)} -w {shlex.quote(str(path))} {expression}"
        with self.background(words):
            deadline = time.monotonic() + 10
            while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.005)  # the file's header is written when the recording begins
            if not (path.exists() and path.stat().st_size):
                raise NetError(
                    f"{self.name}: tcpdump does not record on {interface}: {self.run(words + ' -c 0', check=False)}"
                )
            yield path
            end, size = time.monotonic() + LAST_PACKETS_S, -1
            while size != path.stat().st_size and time.monotonic() < end:
                size = path.stat().st_size
                time.sleep(QUIET_S)

    def ping(self, target: str, *, count: int = 1, wait_s: float = 1.0) -> bool:
        """Whether `target` (an address or a name) answers at least one ping."""
        family = "-6" if ":" in target else "-4"
        words = f"ping {family} -n -q -c {count} -i 0.2 -W {wait_s:g} {shlex.quote(target)}"
        return self.run(words, check=False, timeout_s=count * 0.2 + wait_s + 10).code == 0

    def interfaces(self) -> dict[str, dict[str, Any]]:
        """Each interface by name: up (with a carrier), addresses as `10.0.0.1/24`, mac, mtu. `lo` is left out."""
        found = {}
        for each in json.loads(self.run("ip -j addr")):
            if each["ifname"] == "lo":
                continue
            found[each["ifname"]] = {
                "up": each.get("operstate") == "UP",
                "addresses": [
                    f"{one['local']}/{one['prefixlen']}"
                    for one in each["addr_info"]
                    if one.get("scope") != "link"
                ],
                "mac": each.get("address", ""),
                "mtu": each["mtu"],
            }
        return found

    def addresses(self) -> list[str]:
        """All its addresses with their prefix lengths, without loopback and link-local ones."""
        return [address for each in self.interfaces().values() for address in each["addresses"]]

    def routes(self, family: int = 4) -> dict[str, dict[str, Any]]:
        """The kernel's routes by prefix: via (list of next hops), dev (list of interfaces), protocol, metric."""
        found: dict[str, dict[str, Any]] = {}
        for each in json.loads(self.run(f"ip -j -{family} route show table main") or "[]"):
            hops = each.get("nexthops") or [each]
            vias = [hop.get("gateway") or (hop.get("via") or {}).get("host") for hop in hops]
            prefix = each["dst"]
            if prefix != "default" and "/" not in prefix:
                prefix += "/32" if family == 4 else "/128"
            found[prefix] = {
                "via": [via for via in vias if via],
                "dev": [hop["dev"] for hop in hops if "dev" in hop],
                "protocol": each.get("protocol", ""),
                "metric": each.get("metric", 0),
                "type": each.get("type", "unicast"),
            }
        return found

    def path_to(self, target: str, *, most: int = 15) -> list[str]:
        """The addresses of the routers on the way to `target`, as traceroute finds them; `*` where none answers."""
        text = self.run(f"traceroute -n -q 1 -w 1 -m {most} {shlex.quote(target)}", check=False, timeout_s=60)
        hops = [line.split()[1] for line in text.splitlines()[1:] if len(line.split()) > 1]
        return hops

    def listening(self) -> set[tuple[str, int]]:
        """What it listens on: ("tcp" or "udp", port)."""
        found = set()
        for line in self.run("ss -H -tuln").splitlines():
            fields = line.split()
            found.add((fields[0], int(fields[4].rpartition(":")[2])))
        return found

    def shell(self) -> str:
        """The command that opens a terminal in this node: paste it into a terminal of JupyterLab."""
        if self.net.emulated:
            raise NetError("There are no terminals in an emulated machine. Use run, or a cell with %%on.")
        holder = self.net.space.ask("pid", name=self.name)["pid"]
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = re.search(r"^NSpid:\s+(.*)$", status.read_text(), re.MULTILINE)
                command = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if (
                numbers
                and numbers[1].split()[-1] == str(holder)
                and command.startswith(f"ictlab-net:{self.name}\0".encode())
            ):
                return (
                    f"nsenter --target {status.parent.name} --user --preserve-credentials --net --mount --uts --pid "
                    f"env PS1='{self.name}# ' bash --norc"
                )
        raise Ended(f"{self.name} is gone. Run the notebook from its first cell again.")


class Switch(Node):
    """A switch: every link to it becomes a port of one bridge."""

    kind = "switch"

    def ports(self) -> dict[str, dict[str, Any]]:
        """The bridge's ports: state (forwarding, blocking …), and the VLANs where it filters them."""
        vlans = {each["ifname"]: each["vlans"] for each in json.loads(self.run("bridge -j vlan") or "[]")}
        return {
            each["ifname"]: {"state": each.get("state", ""), "vlans": vlans.get(each["ifname"], [])}
            for each in json.loads(self.run("bridge -j link") or "[]")
        }


class Router(Node):
    """A router: it passes packets on, and may speak OSPF and BGP with FRRouting."""

    kind = "router"

    def __init__(self, net: Topology, name: str, daemons: Iterable[str]) -> None:
        """`daemons`: FRRouting's beside zebra, such as ospfd."""
        super().__init__(net, name)
        self.frr = Frr(self, daemons)

    def vtysh(self, commands: str, *, check: bool = True) -> Output:
        """FRRouting's own command line: one command, or several lines as typed after `configure terminal` would be.

        r1.vtysh("show ip ospf neighbor")
        r1.vtysh('''
            configure terminal
            router ospf
             network 10.0.0.0/8 area 0
        ''')
        """
        return self.frr.vtysh(commands, check=check)

    def show(self, command: str) -> Any:
        """A show command's JSON: `r1.show("ip ospf neighbor")`."""
        return json.loads(self.vtysh(f"show {command} json") or "{}")

    def neighbours(self, protocol: str = "ospf") -> dict[str, str]:
        """Its neighbours and how far each is: {"2.2.2.2": "Full"}; for bgp {"10.0.0.2": "Established"}."""
        if protocol == "ospf":
            found = self.show("ip ospf neighbor").get("neighbors", {})
            return {
                router: each[0].get("nbrState", each[0].get("state", "")).partition("/")[0]
                for router, each in found.items()
                if each
            }
        if protocol == "bgp":
            peers = self.show("ip bgp summary").get("ipv4Unicast", {}).get("peers", {})
            return {address: each["state"] for address, each in peers.items()}
        raise NetError(f"neighbours of {protocol!r} are not known here. Say ospf or bgp.")


class Topology:
    """A network of your own. The same name again gives a fresh one and ends the old one.

    net = Topology("campus")
    h1, r1 = net.host("h1"), net.router("r1")
    net.link("h1:eth0", "r1:eth0", "10.0.0.2/24", "10.0.0.1/24")
    h1.run("ping -c 1 10.0.0.1")
    """

    def __init__(self, name: str = "net", *, needs: Iterable[str] = (), emulated: bool = False) -> None:
        """Start an empty network. Raises NetError where none can be built.

        needs: features of the kernel, as `probe` names them; where this host lacks one, the network runs in an emulated
        machine: the same, but slower. emulated: it does so anyway.
        """
        if name in _open:
            _open.pop(name).close()
        self.name = name
        lacking = [feature for feature, there in probe(*needs).items() if not there] if needs else []
        self.emulated = bool(lacking) or emulated
        self.nodes: dict[str, Node] = {}
        self.links: list[Link] = []
        self.space = self._emulated(lacking) if self.emulated else Namespaces()
        _open[name] = self

    def _emulated(self, lacking: list[str]) -> Namespaces:
        from ictlab import check
        from ictlab.net.machine import PATIENCE, EmulatedNamespaces

        check.patience = max(check.patience, PATIENCE)
        why = f"This host's kernel lacks {', '.join(lacking)}. " if lacking else ""
        print(
            f"{why}The network {self.name} runs in an emulated machine: the same, but\nslower. It takes some seconds to start."
        )
        return EmulatedNamespaces()

    def __repr__(self) -> str:
        return "\n".join([f"network {self.name}", *(f"  {node!r}" for node in self.nodes.values())])

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            raise NetError(f"there is no node {name!r}. There are: {', '.join(self.nodes) or 'none'}.")
        return self.nodes[name]

    def host(self, name: str) -> Node:
        """A host: an end point, which does not pass packets on."""
        return self._add(Node(self, name), forward=False)

    def router(self, name: str, *daemons: str) -> Router:
        """A router. daemons: FRRouting's beside zebra, "ospfd", "bgpd" …, started when vtysh is first used."""
        made = Router(self, name, daemons)
        self._add(made, forward=True)
        return made

    def switch(self, name: str, *, vlans: bool = False, stp: bool = False) -> Switch:
        """A switch. vlans: ports may be put into VLANs. stp: it speaks the spanning tree protocol."""
        made = Switch(self, name)
        self._add(made, forward=False)
        options = f"stp_state {stp:d}" + (" vlan_filtering 1" if vlans else "")
        made.run(f"ip link add name {BRIDGE} type bridge {options} && ip link set dev {BRIDGE} up")
        return made

    def _add(self, node: Node, *, forward: bool) -> Node:
        if not NAME.match(node.name):
            raise NetError(
                f"{node.name!r} is no name for a node: a small letter first, then small letters, digits, hyphens; "
                "at most 14."
            )
        self.space.ask("node", name=node.name, forward=forward)
        self.nodes[node.name] = node
        return node

    def link(
        self, one: Node | str, two: Node | str, address_one: str | None = None, address_two: str | None = None
    ) -> Link:
        """Connect two nodes: `"r1:eth0"` names an interface, a node alone takes its next eth. Addresses as `10.0.0.1/24`."""
        ends = [self._end(one), self._end(two)]
        asked = [
            {
                "node": end.node.name,
                "interface": end.interface,
                "bridge": BRIDGE if isinstance(end.node, Switch) else None,
            }
            for end in ends
        ]
        self.space.ask("link", ends=asked)
        made = Link(*ends)
        self.links.append(made)
        for end, address in zip(ends, (address_one, address_two), strict=True):
            if address:
                end.node.run(f"ip addr add {shlex.quote(address)} dev {end.interface}")
        for end in ends:
            if isinstance(end.node, Router):
                end.node.frr.adopt(end.interface)
        return made

    def _end(self, given: Node | str) -> End:
        name, _, interface = given.partition(":") if isinstance(given, str) else (given.name, "", "")
        node = self[name]
        used = {end.interface for link in self.links for end in (link.one, link.two) if end.node is node}
        if not interface:
            interface = next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
        if not INTERFACE.match(interface):
            raise NetError(
                f"{interface!r} is no name for an interface. At most 15 letters and digits, such as eth0."
            )
        if interface in used:
            raise NetError(f"{name}:{interface} has a link already.")
        return End(node, interface)

    def link_between(self, one: Node | str, two: Node | str) -> Link:
        """The link between two nodes."""
        names = {each if isinstance(each, str) else each.name for each in (one, two)}
        for link in self.links:
            if {link.one.node.name, link.two.node.name} == names:
                return link
        raise NetError(f"there is no link between {' and '.join(sorted(names))}.")

    def reaches(
        self, pairs: Iterable[tuple[str, str]], *, wait_s: float = 1.0
    ) -> dict[tuple[str, str], bool]:
        """Ping from node to address (or to a node's first address), all at once; who answers whom."""
        from concurrent.futures import ThreadPoolExecutor

        asked = list(pairs)
        targets = {name: self.nodes[name].addresses() for _, name in asked if name in self.nodes}

        def one(pair: tuple[str, str]) -> bool:
            source, target = pair
            address = (targets[target] or [""])[0].partition("/")[0] if target in targets else target
            return bool(address) and self[source].ping(address, wait_s=wait_s)

        with ThreadPoolExecutor(16) as pool:
            return dict(zip(asked, pool.map(one, asked), strict=True))

    def start(self) -> None:
        """Start FRRouting on every router that has a daemon, some at a time. vtysh does it for its own router."""
        from concurrent.futures import ThreadPoolExecutor

        routers = [node for node in self.nodes.values() if isinstance(node, Router) and node.frr.daemons]
        with ThreadPoolExecutor(STARTS) as pool:
            list(pool.map(lambda router: router.frr.start(), routers))

    @property
    def is_open(self) -> bool:
        """Whether it is the one of its name and was not closed."""
        return _open.get(self.name) is self

    def close(self) -> None:
        """End the network and everything that runs in it."""
        self.space.close()
        if _open.get(self.name) is self:
            del _open[self.name]

    def __enter__(self) -> Topology:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def newest() -> Topology:
    """The network that was made last and is still there. Raises NetError."""
    if not _open:
        raise NetError("There is no network. Run the notebook from its first cell again.")
    return list(_open.values())[-1]
