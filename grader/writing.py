"""What people write for others to read, as the record keeps it: line breaks of one kind, nothing invisible that controls."""

from __future__ import annotations

import unicodedata

_NEVER = ("Cc", "Cs")  # control characters, and halves of a character, which no database keeps


def text(written: str) -> str:
    """`written` with line breaks of one kind, and without control characters and empty lines around it."""
    lines = written.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(char for char in lines if char in "\n\t" or unicodedata.category(char) not in _NEVER)
    return kept.strip("\n").rstrip()


def line(written: str) -> str:
    """`written` as one line."""
    return " ".join(text(written).split())
