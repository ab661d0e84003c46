"""Pictures that live: a network with the state of its links, packets to click through, an address plan, your progress.

    from ictlab.show import network, packets, progress
    network(net)                                  # drawn, and drawn again when something changes
    network(net, way=("h1", "h3"))                # with the way that packets take
    packets("capture.pcap")
    progress()                                    # checks, hints and Submit for the notebook you are in

Each says in words what it shows, can be used with the keyboard alone, and is a picture or a table where widgets do not
run. `explore_prefix` and `explore_plan` are about addresses.
"""

from __future__ import annotations

from ictlab.explorer import explore_plan, explore_prefix
from ictlab.show.network import network
from ictlab.show.packets import packets
from ictlab.show.progress import progress

__all__ = ["explore_plan", "explore_prefix", "network", "packets", "progress"]
