"""FRRouting in a node: which daemons run, how they are started and configured, and timers that suit a lesson."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ictlab.net.namespaces import NetError

if TYPE_CHECKING:
    from ictlab.net.topology import Output, Router

DAEMONS = ("zebra", "staticd", "ospfd", "ospf6d", "bgpd", "ripd", "isisd", "bfdd", "vrrpd")
FOLDER = "/usr/lib/frr"
# glibc keeps a heap for each thread and much in reserve; without, a router has 12 MiB in place of 16
LEAN = "MALLOC_ARENA_MAX=1 MALLOC_TOP_PAD_=0 MALLOC_TRIM_THRESHOLD_=65536"
# An ordinary OSPF waits 40 s before it misses a neighbour and batches its work for seconds. In a lesson a lost router
# is missed after 3 s and a change is calculated at once; where a lab teaches the timers it says `no` to these.
LESSON_INTERFACE = " ip ospf hello-interval 1\n ip ospf dead-interval 3\n"
LESSON_DIRECT = (
    " ip ospf network point-to-point\n"  # two routers on a cable need no election of a designated one
)
LESSON_OSPF = (
    "router ospf\n timers throttle spf 0 10 50\n timers throttle lsa all 0\n timers lsa min-arrival 0\nexit\n"
)


class Frr:
    """The daemons of one router."""

    def __init__(self, router: Router, daemons: Iterable[str]) -> None:
        """`daemons`: beside zebra. Raises NetError for one that is not known."""
        self.router = router
        self.daemons = list(dict.fromkeys(daemons))
        if unknown := [name for name in self.daemons if name not in DAEMONS]:
            raise NetError(f"FRRouting has no daemon {unknown[0]!r} here. It has: {', '.join(DAEMONS)}.")
        self._lock = threading.Lock()
        self.started = False

    def start(self) -> None:
        """Start them, once."""
        with self._lock:
            if self.started:
                return
            names = list(dict.fromkeys(["zebra", "staticd", *self.daemons]))
            self._write_configuration()
            lines = [
                f"{LEAN} {FOLDER}/{name} -d -A 127.0.0.1 --log file:/run/frr/{name}.log || exit 1"
                for name in names
            ]
            # zebra first: the others look for its socket when they start. Then all are waited for at once
            wait = (
                "n=0; for s in " + " ".join(f"/run/frr/{name}.vty" for name in names) + "; do "
                "until [ -S $s ]; do sleep 0.01; n=$((n+1)); [ $n -lt 1500 ] || exit 1; done; done"
            )
            self.router.run("\n".join([*lines, wait, "vtysh -b"]), timeout_s=60)
            self.started = True

    def adopt(self, interface: str) -> None:
        """Give an interface that came after the start what the others have."""
        if self.started and "ospfd" in self.daemons:
            self.vtysh(f"configure terminal\n{self._lesson(interface)}", check=True)

    def _lesson(self, interface: str) -> str:
        """The lesson's lines for one interface."""
        alone = LESSON_DIRECT if self._is_direct(interface) else ""
        return f"interface {interface}\n{LESSON_INTERFACE}{alone}exit\n"

    def _is_direct(self, interface: str) -> bool:
        """Whether a cable goes straight to another router there."""
        ends = [(link.one, link.two) for link in self.router.net.links]
        return any(
            mine.node is self.router and mine.interface == interface and other.node.kind == "router"
            for one, two in ends
            for mine, other in ((one, two), (two, one))
        )

    def _write_configuration(self) -> None:
        text = f"hostname {self.router.name}\nlog file /run/frr/frr.log\n"
        if "ospfd" in self.daemons:
            text += "".join(self._lesson(name) for name in sorted(self.router.interfaces())) + LESSON_OSPF
        folder = self.router.net.space.folder / self.router.name / "frr"
        (folder / "frr.conf").write_text(text)
        (folder / "vtysh.conf").write_text("service integrated-vtysh-config\n")

    def vtysh(self, commands: str, *, check: bool) -> Output:
        """Run lines in vtysh; what it refuses is a NetError if `check`."""
        from ictlab.net.topology import Output

        self.start()
        lines = [line for line in textwrap.dedent(commands).strip().splitlines() if line.strip()]
        argv = ["vtysh", *(part for line in lines for part in ("-c", line.strip()))]
        code, printed = self.router.net.space.run(self.router.name, argv, timeout_s=30)
        refused = [line for line in printed.splitlines() if line.startswith(("% ", "line "))]
        if check and (code or refused):
            raise NetError(f"{self.router.name}: vtysh: {printed.strip() or f'exit status {code}'}")
        return Output(printed, code)
