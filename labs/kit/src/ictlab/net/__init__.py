"""Real networks in a notebook: hosts, switches, routers and links on the kernel's own namespaces, without root.

    from ictlab.net import Topology

    net = Topology("campus")
    h1, r1, h2 = net.host("h1"), net.router("r1"), net.host("h2")
    net.link("h1:eth0", "r1:eth0", "10.0.1.2/24", "10.0.1.1/24")
    net.link("h2:eth0", "r1:eth1", "10.0.2.2/24", "10.0.2.1/24")
    h1.run("ip route add default via 10.0.1.1")
    h2.run("ip route add default via 10.0.2.1")
    h1.run("ping -c 1 10.0.2.2")

In a notebook `%%on h1` runs a cell's lines in a node, and `%%vtysh r1` in a router's own command line.
"""

from __future__ import annotations

import sys

from ictlab.net.namespaces import NetError
from ictlab.net.probe import probe
from ictlab.net.topology import Link, Node, Output, Router, Switch, Topology

__all__ = ["Link", "NetError", "Node", "Output", "Router", "Switch", "Topology", "probe"]

if "IPython" in sys.modules:
    from IPython import get_ipython  # type: ignore[attr-defined]

    if (_shell := get_ipython()) is not None:
        from ictlab.net.magics import register

        register(_shell)
