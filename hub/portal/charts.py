"""Small pictures as SVG: how a histogram, bars and a line are drawn; colours come from the style sheet by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

WIDTH = 360  # units of the picture; a narrow phone shows them one to one
_HIGH = 150  # of a histogram or a line, without what is written below
_LEFT, _TOP, _BELOW = 34, 16, 34  # room for what is written around them
_ROW = 36  # of one bar with its name above
_LONGEST_NAME = 44  # characters that fit above a bar

_PICTURE = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
    '<title id="{name}-title">{title}</title><desc id="{name}-desc">{desc}</desc>{inside}</svg>'
)
_TEXT = Markup('<text x="{x:g}" y="{y:g}" class="{kind}">{text}</text>')
_RECT = Markup('<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{kind}"/>')
_LINE = Markup('<path d="{way}" class="{kind}"/>')


@dataclass(frozen=True)
class Bar:
    """A name, how long the bar is between 0 and 1, and what is written beside it."""

    name: str
    share: float
    said: str


@dataclass(frozen=True)
class Point:
    """A moment, what had come together by then, and how that is written."""

    when: datetime
    value: float
    said: str


def histogram(name: str, title: str, bins: Sequence[int]) -> Markup:
    """How many have which share of the points; the bins are equal parts of 0 to 100 %. `name`: an id of the page."""
    most = max(bins, default=0) or 1
    wide = (WIDTH - _LEFT) / len(bins)
    floor = _TOP + _HIGH
    parts = [_line(f"M{_LEFT} {floor}H{WIDTH}", "axis")]
    for number, count in enumerate(bins):
        high, x = _HIGH * count / most, _LEFT + number * wide
        if count:
            parts += [
                _rect(x + 1, floor - high, wide - 2, high, "bar"),
                _text(x + wide / 2, floor - high - 3, str(count), "middle"),
            ]
        if number % 2 == 0:
            parts.append(_text(x, floor + 14, f"{100 * number // len(bins)}", "middle soft"))
    parts.append(_text(WIDTH, floor + 14, "100", "end soft"))
    parts.append(_text(WIDTH, floor + 30, "percent of the points", "end soft"))
    desc = "; ".join(
        f"{100 * number // len(bins)} to {100 * (number + 1) // len(bins)} %: {count}"
        for number, count in enumerate(bins)
        if count
    )
    return _picture(name, title, desc or "Nobody.", floor + _BELOW, parts)


def bars(name: str, title: str, rows: Sequence[Bar]) -> Markup:
    """One bar a row, from 0 to 100 %, its name above and its value beside it. `name`: an id of the page."""
    parts: list[Markup] = []
    room = WIDTH - 90  # what is written beside the bar needs the rest
    for number, row in enumerate(rows):
        y, long = number * _ROW, room * min(1.0, max(0.0, row.share))
        parts += [
            _text(0, y + 13, _short(row.name), ""),
            _rect(0, y + 18, room, 12, "track"),
            _rect(0, y + 18, long, 12, "bar"),
            _text(room + 6, y + 28, row.said, "soft"),
        ]
    desc = "; ".join(f"{row.name}: {row.said}" for row in rows)
    return _picture(name, title, desc or "Nothing.", max(1, len(rows)) * _ROW, parts)


def over_time(name: str, title: str, points: Sequence[Point]) -> Markup:
    """A line of steps through what came together over time. `points`: oldest first. `name`: an id of the page."""
    if not points:
        return _picture(name, title, "Nothing.", _TOP + _HIGH + _BELOW, [])
    first, last = points[0].when, points[-1].when
    long_s = (last - first).total_seconds() or 1.0
    highest = max(points, key=lambda point: point.value)
    most = highest.value or 1.0
    floor, inset = _TOP + _HIGH, 8  # the first point stands off the axis
    room = WIDTH - _LEFT - 2 * inset
    places = [
        (
            _LEFT + inset + room * (point.when - first).total_seconds() / long_s,
            floor - _HIGH * max(0.0, point.value) / most,
        )
        for point in points
    ]
    way = f"M{places[0][0]:.1f} {places[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
    parts = [_line(f"M{_LEFT} {_TOP}V{floor}H{WIDTH}", "axis"), _line(way, "line")]
    parts += [Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="dot"/>').format(x, y) for x, y in places]
    parts += [
        _text(_LEFT - 4, _TOP + 5, highest.said, "end soft"),
        _text(_LEFT - 4, floor, "0", "end soft"),
        _text(_LEFT, floor + 16, f"{first:%Y-%m-%d}", "soft"),
    ]
    if last.date() != first.date():
        parts.append(_text(WIDTH, floor + 16, f"{last:%Y-%m-%d}", "end soft"))
    desc = "; ".join(f"{point.when:%Y-%m-%d}: {point.said}" for point in points)
    return _picture(name, title, desc, floor + _BELOW, parts)


def _picture(name: str, title: str, desc: str, height: float, parts: Sequence[Markup]) -> Markup:
    return _PICTURE.format(
        name=name, title=title, desc=desc, width=WIDTH, height=height, inside=Markup("").join(parts)
    )


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return _TEXT.format(x=round(x, 1), y=round(y, 1), text=text, kind=kind)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return _RECT.format(
        x=round(x, 1), y=round(y, 1), width=round(width, 1), height=round(height, 1), kind=kind
    )


def _line(way: str, kind: str) -> Markup:
    return _LINE.format(way=way, kind=kind)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
