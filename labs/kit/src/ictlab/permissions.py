"""Permission-bits explorer: tick bits, or type a mode, and see the same mode in all its forms.

    from ictlab.permissions import explore_mode
    explore_mode("rw-r-----")
    explore_mode("3770", directory=True)

Every control is an ordinary checkbox or field, so Tab and the space bar reach it; where no widget can run the same
stands there as text.
"""

from __future__ import annotations

import html
import re
from typing import Any

from ictlab.explorer import Explorer, _html_table, _widgets

CLASSES = ("owner", "group", "others")
RIGHTS = ("read", "write", "execute")
SPECIAL = {"setuid": 0o4000, "setgid": 0o2000, "sticky": 0o1000}
# bit -> its name, in the order of `ls -l`
BITS = {
    0o400 >> (3 * place + number): f"{who} {right}"
    for place, who in enumerate(CLASSES)
    for number, right in enumerate(RIGHTS)
}

_MEANING = {
    False: {"read": "read it", "write": "change it", "execute": "run it"},
    True: {
        "read": "list the names in it",
        "write": "add, rename and delete in it",
        "execute": "enter it and reach what is in it",
    },
}
_SYMBOLS = re.compile(r"(?:[-d])?([r-][w-][-xsS])([r-][w-][-xsS])([r-][w-][-xtT])")


class Mode:
    """The twelve permission bits of a file or of a directory."""

    def __init__(self, text: str | int, directory: bool = False) -> None:
        """Read `text`: octal such as "640" or "3770", or as `ls -l` has it. Raises ValueError with a sentence."""
        self.directory = directory
        self.bits = text if isinstance(text, int) else _read(str(text).strip())
        if not 0 <= self.bits <= 0o7777:
            raise ValueError(f"{text!r} is no mode; a mode has at most four digits from 0 to 7, such as 640.")

    def octal(self) -> str:
        """The mode as digits: three, or four with one of setuid, setgid, sticky."""
        return f"{self.bits:04o}" if self.bits > 0o777 else f"{self.bits:03o}"

    def symbols(self) -> str:
        """The mode as `ls -l` has it, such as "-rw-r-----"."""
        shown = "d" if self.directory else "-"
        for place, special in enumerate(SPECIAL.values()):
            three = (self.bits >> (6 - 3 * place)) & 0o7
            last = "x" if three & 1 else "-"
            if self.bits & special:
                letter = "t" if special == SPECIAL["sticky"] else "s"
                last = letter if three & 1 else letter.upper()
            shown += ("r" if three & 4 else "-") + ("w" if three & 2 else "-") + last
        return shown

    def rows(self) -> list[tuple[str, ...]]:
        """For each class of people: its three characters, its digit as a sum, and what it may do in words."""
        rows: list[tuple[str, ...]] = []
        for place, who in enumerate(CLASSES):
            three = (self.bits >> (6 - 3 * place)) & 0o7
            parts = [str(value) for value in (4, 2, 1) if three & value]
            total = " + ".join(parts) + f" = {three}" if len(parts) > 1 else str(three)
            may = [
                _MEANING[self.directory][right]
                for value, right in zip((4, 2, 1), RIGHTS, strict=True)
                if three & value
            ]
            rows.append(
                (who, self.symbols()[1 + 3 * place : 4 + 3 * place], total, "; ".join(may) or "nothing")
            )
        return rows

    def remarks(self) -> list[str]:
        """Sentences on what the further bits do, and on what surprises."""
        said = []
        if self.bits & SPECIAL["setuid"]:
            said.append(
                "setuid does nothing on a directory."
                if self.directory
                else "setuid: whoever runs it acts as its owner. Rarely what you want."
            )
        if self.bits & SPECIAL["setgid"]:
            said.append(
                "setgid: what is made in it belongs to the directory's group."
                if self.directory
                else "setgid: whoever runs it acts with its group."
            )
        if self.bits & SPECIAL["sticky"]:
            said.append(
                "sticky: only the owner of a file, or of the directory, deletes or renames it."
                if self.directory
                else "sticky does nothing on a file."
            )
        owner, group, others = ((self.bits >> shift) & 0o7 for shift in (6, 3, 0))
        if (group | others) & ~owner:
            said.append(
                "Others may do more than the owner: only the first class that fits a person counts, the owner's first."
            )
        if self.directory:
            for who, three in zip(CLASSES, (owner, group, others), strict=True):
                if three & 4 and not three & 1:
                    said.append(f"{who}: the names, but nothing behind them: execute is missing.")
                if three & 2 and not three & 1:
                    said.append(f"{who}: write does nothing without execute.")
        if others & 2 and not (self.directory and self.bits & SPECIAL["sticky"]):
            said.append("Everybody on this machine may change it.")
        return said

    def text(self) -> str:
        """The mode as plain lines."""
        lines = [f"{'In digits:':<12}{self.octal()}", f"{'In letters:':<12}{self.symbols()}"]
        lines += [f"{who + ':':<12}{three}  {total:<14} {may}" for who, three, total, may in self.rows()]
        return "\n".join([*lines, *(f"Look: {remark}" for remark in self.remarks())])

    def html(self) -> str:
        """The mode as a line, a table and sentences."""
        said = "".join(f"<li>{html.escape(remark)}</li>" for remark in self.remarks())
        return (
            f"<p>In digits <code>{self.octal()}</code>, in letters <code>{self.symbols()}</code></p>"
            + _html_table("Who may do what", ("Who", "Letters", "Digit", "May"), self.rows())
            + (f"<p>Look at these:</p><ul>{said}</ul>" if said else "")
        )


def explore_mode(start: str = "rw-r-----", directory: bool = False) -> Explorer:
    """Tick permission bits or type a mode, and see it in digits, in letters and in words."""
    mode = Mode(start, directory)
    widgets = _widgets()
    return Explorer([], mode.text, mode.html) if widgets is None else _Controls(widgets, mode).explorer


class _Controls:
    """Checkboxes and two fields that follow each other."""

    def __init__(self, widgets: Any, mode: Mode) -> None:
        self._mode, self._wrong, self._busy = mode, "", False
        style, wide = {"description_width": "9em"}, {"width": "22em"}
        narrow = {"width": "11em"}
        self._boxes = {
            bit: widgets.Checkbox(bool(mode.bits & bit), description=name, indent=False, layout=narrow)
            for bit, name in [*BITS.items(), *((bit, name) for name, bit in SPECIAL.items())]
        }
        self._kind = widgets.Checkbox(mode.directory, description="a directory", indent=False, layout=narrow)
        self._octal, self._symbols = (
            widgets.Text(value, description=label, continuous_update=False, style=style, layout=wide)
            for value, label in ((mode.octal(), "In digits"), (mode.symbols(), "In letters"))
        )
        boxes = list(self._boxes.values())
        rows = [widgets.HBox(boxes[first : first + 3]) for first in range(0, len(boxes), 3)]
        for box in [*boxes, self._kind]:
            box.observe(self._ticked, names="value")
        for field in (self._octal, self._symbols):
            field.observe(self._typed, names="value")
        self.explorer = Explorer([*rows, self._kind, self._octal, self._symbols], self._text, self._page)

    def _ticked(self, _change: object) -> None:
        if not self._busy:
            bits = sum(bit for bit, box in self._boxes.items() if box.value)
            self._show(Mode(bits, self._kind.value))

    def _typed(self, change: Any) -> None:
        if self._busy:
            return
        text = str(change["new"])
        try:
            self._show(
                Mode(text, text.startswith("d") if text[:1] in "-d" and len(text) == 10 else self._kind.value)
            )
        except ValueError as error:
            self._wrong = str(error)
            self.explorer._redraw()

    def _show(self, mode: Mode) -> None:
        """Bring every control to `mode`."""
        self._mode, self._wrong, self._busy = mode, "", True
        try:
            for bit, box in self._boxes.items():
                box.value = bool(mode.bits & bit)
            self._kind.value = mode.directory
            self._octal.value, self._symbols.value = mode.octal(), mode.symbols()
        finally:
            self._busy = False
        self.explorer._redraw()

    def _text(self) -> str:
        self._refuse()
        return self._mode.text()

    def _page(self) -> str:
        self._refuse()
        return self._mode.html()

    def _refuse(self) -> None:
        if self._wrong:
            raise ValueError(self._wrong)


def _read(text: str) -> int:
    """The bits of a mode in digits or in letters."""
    if re.fullmatch(r"[0-7]{3,4}", text):
        return int(text, 8)
    match = _SYMBOLS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no mode; write digits such as 640, or letters such as rw-r-----.")
    bits = 0
    for place, (three, special) in enumerate(zip(match.groups(), SPECIAL.values(), strict=True)):
        last = three[2]
        value = 4 * (three[0] == "r") + 2 * (three[1] == "w") + (last in "xst")
        bits |= value << (6 - 3 * place) | (special if last in "sStT" else 0)
    return bits
