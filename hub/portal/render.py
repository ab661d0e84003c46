"""Turns a page's name and values into HTML: the templates, how times and sizes are written, the banner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from hub.portal.headers import LIVE_POLICY
from hub.portal.login import Visitor
from hub.settings import Settings

HERE = Path(__file__).parent
BANNERS: Mapping[str, tuple[str, Markup]] = {
    "process": (
        "warn",
        Markup(
            "Trial mode, without containers: students' servers share this machine. For a first look only. "
            "<code>sudo make docker</code>, then <code>make up</code>, gives everybody a container."
        ),
    ),
    "process-unjailed": (
        "danger",
        Markup(
            "No walls between people: this machine has neither containers nor user namespaces, so whoever logs in "
            "can read everything here. Never use it with real students. <code>ict doctor</code> says what is missing."
        ),
    ),
}


class Render:
    """Renders pages of one site."""

    def __init__(self, settings: Settings, *, prefix: str, hub_prefix: str, mode: str) -> None:
        """`prefix`, `hub_prefix`: paths of the portal and of the hub, with a slash at the end."""
        self._zone = ZoneInfo(settings.site.timezone)
        files = sorted((HERE / "static").iterdir())
        version = hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:16]
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters |= {"moment": self.moment, "size": size, "points": "{:g}".format}
        self._jinja.globals |= {
            "site": settings.site.name,
            "zone": settings.site.timezone,
            "base": prefix,
            "hub": hub_prefix,
            "version": version,
            "banner": BANNERS.get(mode),
        }

    def page(
        self, template: str, visitor: Visitor | None = None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A whole page, for `visitor` or for nobody in particular.

        refresh_s: follow.js looks for news after so many seconds. live: progress.js listens for them. Without
        JavaScript the page loads itself again.
        """
        values = {"refresh_s": 0, "live": False} | values
        values |= {"visitor": visitor, "notice": visitor.session.take_notice() if visitor else ""}
        page = HTMLResponse(self._jinja.get_template(template).render(values), status)
        if values["live"] or values["refresh_s"]:
            page.headers["Content-Security-Policy"] = LIVE_POLICY
        return page

    def moment(self, when: datetime) -> Markup:
        """A moment in the site's time zone, exact for machines."""
        local = when.astimezone(self._zone)
        text = f"{local:%a} {local.day} {local:%b %Y, %H:%M}"
        return Markup('<time datetime="{}">{}</time>').format(
            when.astimezone(UTC).isoformat(timespec="seconds"), text
        )


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
