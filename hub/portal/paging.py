"""A long list in pages, and a class narrowed to who is looked for. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from grader.classlog import Someone

PAGE = 50  # rows of one page
MOST_CELLS = 1000  # of a table of people by labs: it is made in a tenth of a second, and fits a slow line
_FEWEST_ROWS = 10
_LONGEST_SOUGHT = 100  # characters; no name is longer

Row = TypeVar("Row")


@dataclass(frozen=True)
class Paged(Generic[Row]):
    """One page of a list. number: from 1. first: place of its first row in the whole list, from 1."""

    rows: tuple[Row, ...]
    number: int
    pages: int
    first: int
    total: int

    @property
    def last(self) -> int:
        """Place of its last row in the whole list."""
        return self.first + len(self.rows) - 1


def paged(rows: Sequence[Row], number: int, most: int = PAGE) -> Paged[Row]:
    """Page `number` of `rows`; the nearest there is when there is no such page."""
    return paged_from(len(rows), number, lambda start, count: rows[start : start + count], most)


def rows_of(columns: int) -> int:
    """Rows of a page of a table with so many columns."""
    return max(_FEWEST_ROWS, min(PAGE, MOST_CELLS // max(1, columns)))


def paged_from(
    total: int, number: int, rows: Callable[[int, int], Sequence[Row]], most: int = PAGE
) -> Paged[Row]:
    """As `paged`, of a list of which only the page is read: rows(start, most)."""
    pages = max(1, -(-total // most))
    number = min(max(number, 1), pages)
    start = (number - 1) * most
    return Paged(tuple(rows(start, most)), number, pages, start + 1, total)


@dataclass(frozen=True)
class Sought:
    """Who is looked for: words that each stand in the name or the user name, and a section. Empty is everybody."""

    text: str = ""
    section: str = ""

    @classmethod
    def asked(cls, text: str, section: str) -> Sought:
        """From an address, in bounds."""
        return cls(" ".join(text.split())[:_LONGEST_SOUGHT], section)

    @property
    def query(self) -> dict[str, str]:
        """As an address has it."""
        return {name: value for name, value in (("q", self.text), ("section", self.section)) if value}

    def among(self, people: Iterable[Someone]) -> list[Someone]:
        """Those who are looked for, in the order they came."""
        words = plain(self.text).split()
        return [
            each
            for each in people
            if (not self.section or each.section == self.section)
            and all(word in plain(f"{each.username} {each.name}") for word in words)
        ]


def plain(text: str) -> str:
    """Letters without case and accents: `elodie` finds Élodie."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def students_first(people: Iterable[Someone]) -> list[Someone]:
    """The students by section and user name, then the others by user name."""
    return sorted(people, key=lambda each: (not each.enrolled, each.section, each.username))


def sections(people: Iterable[Someone]) -> list[str]:
    """The sections there are."""
    return sorted({each.section for each in people if each.section})
