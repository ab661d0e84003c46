"""How a post's plain text is read: what stands between lines of three backticks is code. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r"^ {0,3}```[^`\n]*$")


class Piece(NamedTuple):
    """A part of a post that is shown in one way."""

    text: str
    is_code: bool


def pieces(text: str) -> list[Piece]:
    """The parts of `text` in their order; a fence that nobody closes holds the rest."""
    found: list[Piece] = []
    lines: list[str] = []
    is_code = False
    for line in [*text.split("\n"), None]:
        if line is not None and not _FENCE.match(line):
            lines.append(line)
            continue
        part = "\n".join(lines) if is_code else "\n".join(lines).strip("\n")
        if part.strip():
            found.append(Piece(part, is_code))
        lines, is_code = [], not is_code
    return found
