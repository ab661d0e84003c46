"""`%%on NODE` runs a cell's lines of shell in a node, `%%vtysh ROUTER` its lines of FRRouting; output comes as it goes."""

from __future__ import annotations

import sys
from typing import Any

from ictlab.net.namespaces import NetError
from ictlab.net.topology import Router, newest


def on(line: str, cell: str) -> None:
    """Run the cell as one bash script in a node: `%%on h1`."""
    node = newest()[line.strip()]
    code = node.script(cell, heard=lambda text: print(text, end="", flush=True))
    if code:
        print(f"[exit status {code}]", file=sys.stderr)


def vtysh(line: str, cell: str) -> None:
    """Run the cell's lines in a router's vtysh: `%%vtysh r1`. Configuration starts with `configure terminal`."""
    node = newest()[line.strip()]
    if not isinstance(node, Router):
        raise NetError(f"{node.name} is a {node.kind}, not a router: it has no vtysh. Use %%on {node.name}.")
    lines = [each for each in cell.splitlines() if each.strip() and not each.lstrip().startswith(("#", "!"))]
    if lines:
        print(node.vtysh("\n".join(lines), check=False), end="")


def register(shell: Any) -> None:
    """Make both known to an IPython shell."""
    shell.register_magic_function(on, "cell", "on")
    shell.register_magic_function(vtysh, "cell", "vtysh")
