"""Values of the student's own: the same each time for one student and lab, others for others, the same when graded.

    from ictlab.variant import mine

    lan = mine.network("lan", "10.64.0.0/10", 24)      # an IPv4 network of 256 addresses
    number = mine.number("as", 64512, 65534)
    colour = mine.choice("colour", ["red", "green", "blue"])

They come from a seed that the site derives for each student and lab, in the file `.variant` beside the notebook. When
a notebook is graded the site lays its own there, so an edited file changes nothing but what its owner sees. Without
one (an author's desk, a lab opened outside a course) everybody is `preview`.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

SEED_FILE = ".variant"
LONGEST_SEED = 200
T = TypeVar("T")


class Variant:
    """Draws values from a seed; each by a name, so that one more value does not change the others."""

    def __init__(self, seed: str | None = None) -> None:
        """`seed`: by default what stands beside the notebook when the first value is drawn."""
        self._seed = seed

    @property
    def seed(self) -> str:
        """What everything is drawn from."""
        if self._seed is None:
            file = Path(SEED_FILE)
            self._seed = (
                file.read_text(errors="replace")[:LONGEST_SEED].strip() if file.is_file() else "preview"
            )
        return self._seed

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.seed}\0{name}".encode()).digest(), "big")
        return low + drawn % (high - low + 1)

    def choice(self, name: str, things: Sequence[T]) -> T:
        """One of `things`."""
        return things[self.number(name, 0, len(things) - 1)]

    def sample(self, name: str, things: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `things`, in their own order."""
        left = list(range(len(things)))
        drawn = [left.pop(self.number(f"{name} {turn}", 0, len(left) - 1)) for turn in range(count)]
        return [things[at] for at in sorted(drawn)]

    def network(self, name: str, within: str, prefix_length: int) -> ipaddress.IPv4Network:
        """A network with this prefix length that lies in `within`."""
        around = ipaddress.IPv4Network(within)
        count = 1 << (prefix_length - around.prefixlen)
        size = 1 << (32 - prefix_length)
        first = int(around.network_address) + size * self.number(name, 0, count - 1)
        return ipaddress.IPv4Network((first, prefix_length))


mine = Variant()
