"""Address-plan explorers: move a prefix or a subnet and see what it does; as text where no widget can run.

    from ictlab.explorer import explore_prefix, explore_plan
    explore_prefix("192.168.10.77/26")
    explore_plan("10.20.0.0/22", {"office": "10.20.0.0/24", "lab": "10.20.1.0/25"}, needs={"office": 200})

Every control is an ordinary field or slider, so Tab and the arrow keys reach it; what a picture shows stands beside
it in words.
"""

from __future__ import annotations

import html
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

BAR_CELLS = 64  # characters of the bar of a plan


class Reading:
    """What an address with a prefix length means."""

    def __init__(self, text: str) -> None:
        """Read `text`, such as "192.168.10.77/26". Raises ValueError with a sentence."""
        if "/" not in text:
            raise ValueError(f"{text!r} has no prefix length; write it as 192.168.10.77/26.")
        try:
            interface = ipaddress.IPv4Interface(text.strip())
        except ValueError as error:
            raise ValueError(f"{text!r} is not an IPv4 address with a prefix length: {error}.") from None
        self.address = interface.ip
        self.network = interface.network

    def rows(self) -> list[tuple[str, str]]:
        """Pairs of a name and a value, in reading order."""
        net = self.network
        pairs = [
            ("Address", f"{self.address}/{net.prefixlen}"),
            ("In bits, network | host", self.bits()),
            ("Mask", str(net.netmask)),
            ("Network address", str(net.network_address)),
            ("Broadcast address", str(net.broadcast_address)),
            ("Addresses", f"{net.num_addresses:,}"),
        ]
        if net.prefixlen <= 30:
            first, last = net.network_address + 1, net.broadcast_address - 1
            pairs.append(("For hosts", f"{first} to {last}: {net.num_addresses - 2:,}"))
        return pairs

    def bits(self) -> str:
        """The 32 bits with a dot after each byte and a bar where the network part ends."""
        digits = f"{int(self.address):032b}"
        marked = ""
        for place, digit in enumerate(digits):
            marked += "." if place and place % 8 == 0 else ""
            marked += "|" if place == self.network.prefixlen else ""
            marked += digit
        return marked + ("|" if self.network.prefixlen == 32 else "")

    def text(self) -> str:
        """The reading as plain lines."""
        return "\n".join(f"{name + ':':<25}{value}" for name, value in self.rows())

    def html(self) -> str:
        """The reading as a table."""
        return _html_table("What the address and its prefix length mean", ("What", "Value"), self.rows())


class Plan:
    """Subnets laid into a block: what fits, overlaps, stays free."""

    def __init__(
        self, block: str, subnets: Mapping[str, str], needs: Mapping[str, int] | None = None
    ) -> None:
        """Lay `subnets` (name -> prefix as text, possibly wrong) into `block`; `needs`: name -> hosts."""
        self.block = ipaddress.IPv4Network(block)
        self.needs = dict(needs or {})
        self.wrong: dict[str, str] = {}
        self.nets: dict[str, ipaddress.IPv4Network] = {}
        for name, text in subnets.items():
            try:
                self.nets[name] = ipaddress.IPv4Network(str(text).strip())
            except ValueError as error:
                self.wrong[name] = str(error)

    def remarks(self) -> list[str]:
        """Sentences on what is wrong with the plan; none when nothing is."""
        said = [f"{name}: {why}." for name, why in self.wrong.items()]
        names = list(self.nets)
        for place, name in enumerate(names):
            net = self.nets[name]
            if not net.subnet_of(self.block):
                said.append(f"{name}: {net} is not inside {self.block}.")
            said += [
                f"{name} and {other} overlap: {net} and {self.nets[other]}."
                for other in names[place + 1 :]
                if net.overlaps(self.nets[other])
            ]
            room = max(net.num_addresses - 2, 0)
            if self.needs.get(name, 0) > room:
                said.append(f"{name}: needs {self.needs[name]} hosts, {net} has room for {room}.")
        return said

    def free(self) -> list[ipaddress.IPv4Network]:
        """The largest blocks that no subnet uses, in order."""
        left = [self.block]
        for net in self.nets.values():
            kept: list[ipaddress.IPv4Network] = []
            for part in left:
                if net.supernet_of(part):
                    continue
                kept += part.address_exclude(net) if net.subnet_of(part) else [part]
            left = kept
        return sorted(left)

    def bar(self) -> str:
        """The block as a row of letters: A for the first subnet, B …, `.` free, `!` used twice."""
        size = self.block.num_addresses / BAR_CELLS
        start = int(self.block.network_address)
        row = ""
        for cell in range(BAR_CELLS):
            low, high = start + cell * size, start + (cell + 1) * size
            users = [
                _letter(place)
                for place, net in enumerate(self.nets.values())
                if int(net.network_address) < high and int(net.broadcast_address) + 1 > low
            ]
            fits = size >= 1 and sum(self._inside(net, low, high) for net in self.nets.values()) <= size
            row += "." if not users else users[0] if len(users) == 1 or fits else "!"
        return row

    @staticmethod
    def _inside(net: ipaddress.IPv4Network, low: float, high: float) -> float:
        return max(0.0, min(int(net.broadcast_address) + 1, high) - max(int(net.network_address), low))

    def rows(self) -> list[tuple[str, ...]]:
        """Letter, name, prefix, first and last address, room for hosts, hosts needed."""
        return [
            (
                _letter(place),
                name,
                str(net),
                f"{net.network_address} to {net.broadcast_address}",
                str(max(net.num_addresses - 2, 0)),
                str(self.needs.get(name, "")),
            )
            for place, (name, net) in enumerate(self.nets.items())
        ]

    def text(self) -> str:
        """The plan as plain lines."""
        lines = [f"{self.block}, from left to right (. is free, ! is used twice):", f"[{self.bar()}]"]
        for letter, name, net, span, room, need in self.rows():
            needed = f", needs {need}" if need else ""
            lines.append(f"  {letter}  {name:<14} {net:<18} {span}; room for {room} hosts{needed}")
        lines.append("Free: " + (", ".join(map(str, self.free())) or "nothing"))
        return "\n".join([*lines, *(f"Look: {remark}" for remark in self.remarks())])

    def html(self) -> str:
        """The plan as a bar, a table and sentences."""
        head = ("Letter", "Name", "Prefix", "From … to", "Room for hosts", "Needs")
        said = "".join(f"<li>{html.escape(remark)}</li>" for remark in self.remarks())
        free = html.escape(", ".join(map(str, self.free())) or "nothing")
        return (
            f"<p><code>{self.block}</code> from left to right; a dot is free, ! is used twice:</p>"
            f'<pre aria-hidden="true">[{self.bar()}]</pre>'
            + _html_table("The subnets of the plan", head, self.rows())
            + f"<p>Free: {free}</p>"
            + (f"<p>Look at these:</p><ul>{said}</ul>" if said else "<p>Nothing overlaps, all is inside.</p>")
        )


class Explorer:
    """Fields and sliders with a result below; prints itself as text or HTML where widgets do not run."""

    def __init__(self, controls: list[Any], text: Callable[[], str], page: Callable[[], str]) -> None:
        """Show `page()` anew whenever one of `controls` changes; `text()` is the same in plain words."""
        self._text, self._page = text, page
        self._box: Any = None
        self._shown: Any = None
        if controls:
            import ipywidgets

            self._shown = ipywidgets.HTML()
            self._box = ipywidgets.VBox([*controls, self._shown])
            for control in controls:
                control.observe(self._redraw, names="value")
            self._redraw()

    def _redraw(self, _change: object = None) -> None:
        if self._shown is not None:
            self._shown.value = f'<div role="status" aria-live="polite">{_or_sentence(self._page)}</div>'

    def __repr__(self) -> str:
        return _or_sentence(self._text, plain=True)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": _or_sentence(self._page)}
        if self._box is not None:
            widget = self._box._repr_mimebundle_() or {}
            view = "application/vnd.jupyter.widget-view+json"
            if view in widget:
                bundle[view] = widget[view]
        return bundle


def explore_prefix(start: str = "192.168.10.77/26") -> Explorer:
    """Move the prefix length of an address and see network, mask, broadcast and hosts."""
    reading = Reading(start)
    widgets = _widgets()
    if widgets is None:
        return Explorer([], reading.text, reading.html)
    style, wide = {"description_width": "9em"}, {"width": "32em"}
    address = widgets.Text(str(reading.address), description="Address", style=style, layout=wide)
    length = widgets.IntSlider(
        reading.network.prefixlen, 0, 32, description="Prefix length", style=style, layout=wide
    )
    return Explorer(
        [address, length],
        lambda: Reading(f"{address.value}/{length.value}").text(),
        lambda: Reading(f"{address.value}/{length.value}").html(),
    )


def explore_plan(block: str, subnets: Mapping[str, str], needs: Mapping[str, int] | None = None) -> Explorer:
    """Change the subnets of a plan and see what overlaps, what is free, and who has room."""
    widgets = _widgets()
    if widgets is None:
        plan = Plan(block, subnets, needs)
        return Explorer([], plan.text, plan.html)
    style, wide = {"description_width": "9em"}, {"width": "32em"}
    fields = {
        name: widgets.Text(str(net), description=name, continuous_update=False, style=style, layout=wide)
        for name, net in subnets.items()
    }

    def current() -> Plan:
        return Plan(block, {name: field.value for name, field in fields.items()}, needs)

    return Explorer(list(fields.values()), lambda: current().text(), lambda: current().html())


def _widgets() -> Any:
    """The ipywidgets module, or None where it is missing or no kernel could carry its messages."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return ipywidgets if getattr(shell, "kernel", None) is not None else None


def _letter(place: int) -> str:
    return chr(ord("A") + place % 26)


def _or_sentence(show: Callable[[], str], plain: bool = False) -> str:
    """What `show` returns, or the sentence of its ValueError: half-typed addresses are no crash."""
    try:
        return show()
    except ValueError as error:
        return str(error) if plain else f"<p>{html.escape(str(error))}</p>"


def _html_table(caption: str, head: tuple[str, ...], rows: list[Any]) -> str:
    top = "".join(f'<th scope="col" style="text-align:left">{html.escape(name)}</th>' for name in head)
    left = 'style="text-align:left"'
    body = "".join(
        f'<tr><th scope="row" {left}>{html.escape(first)}</th>'
        + "".join(f"<td {left}><code>{html.escape(cell)}</code></td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
