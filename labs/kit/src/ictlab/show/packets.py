"""Packets of a capture file as a list to click through, read by tshark."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import Any

MOST = 500  # packets that are listed
TIMEOUT_S = 30.0
COLUMNS = ("No.", "Time (s)", "Source", "Destination", "Protocol", "What")
FIELDS = (
    "frame.number", "frame.time_relative", "_ws.col.Source", "_ws.col.Destination", "_ws.col.Protocol", "_ws.col.Info",
)  # fmt: skip
SEPARATOR = "\x1f"  # in no field


class CaptureError(Exception):
    """The file cannot be read as a capture, or the filter is none of tshark's; the message says which."""


def listed(file: Path | str, only: str = "") -> list[tuple[str, ...]]:
    """One row a packet: number, seconds since the first, source, destination, protocol, summary."""
    asked = [word for field in FIELDS for word in ("-e", field)]
    text = _tshark(file, only, "-T", "fields", *asked, "-E", f"separator={SEPARATOR}", "-c", str(MOST))
    rows = []
    for line in text.splitlines():
        number, seconds, *rest = line.split(SEPARATOR)
        rows.append((number, f"{float(seconds or 0):.3f}", *rest))
    return rows


def details(file: Path | str, number: str) -> str:
    """Everything that tshark says of one packet."""
    return _tshark(file, f"frame.number == {int(number)}", "-V")


def _tshark(file: Path | str, only: str, *options: str) -> str:
    if not Path(file).is_file():
        raise CaptureError(
            f"{file}: there is no such file. Record one first: with r1.capture('eth0') as file: …"
        )
    words = ["tshark", "-n", "-r", str(file), *(("-Y", only) if only else ()), *options]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise CaptureError("There is no tshark here. Captures need the environment `network`.") from None
    said = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    if done.returncode and not done.stdout:
        raise CaptureError(f"{file}: {' '.join(said) or f'tshark ended with {done.returncode}'}")
    return done.stdout


class PacketList:
    """The packets of a file. Choose one to see all of it."""

    def __init__(self, file: Path | str, only: str = "") -> None:
        """Read the list now."""
        self.file, self.rows = Path(file), listed(file, only)
        self._box: Any = None

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.file.name}: no packets"
        widths = [max(len(row[column]) for row in (COLUMNS, *self.rows)) for column in range(5)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]])
            for row in (COLUMNS, *self.rows)
        )

    def table(self) -> str:
        """The list as an HTML table."""
        head = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in COLUMNS)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row)
            + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{len(self.rows)} packets of {html.escape(self.file.name)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from ictlab.show.network import _widgets_run

        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.table()}
        if self.rows and _widgets_run():
            if self._box is None:
                self._build()
            view = "application/vnd.jupyter.widget-view+json"
            bundle |= {k: v for k, v in (self._box._repr_mimebundle_() or {}).items() if k == view}
        return bundle

    def _build(self) -> None:
        import ipywidgets

        options = [
            (f"{number:>4}  {seconds:>8}  {source} → {target}  {protocol}  {what}", number)
            for number, seconds, source, target, protocol, what in self.rows
        ]
        self._list = ipywidgets.Select(
            options=options, description="Packets", rows=min(12, len(options)), layout={"width": "100%"}
        )
        self._page = ipywidgets.HTML()
        self._list.observe(self._choose, names="value")
        self._box = ipywidgets.VBox([self._list, self._page])
        self._choose()

    def _choose(self, _change: object = None) -> None:
        text = html.escape(details(self.file, self._list.value))
        self._page.value = f'<pre role="status" style="max-height:24em;overflow:auto">{text}</pre>'


def packets(file: Path | str, only: str = "") -> PacketList:
    """List the packets of a capture file. only: a display filter of Wireshark's, such as "icmp or arp"."""
    return PacketList(file, only)


def as_json(file: Path | str, only: str = "") -> list[dict[str, Any]]:
    """The packets with all their fields, as tshark's JSON: for looking at them by program."""
    return list(json.loads(_tshark(file, only, "-T", "json", "-c", str(MOST)) or "[]"))
