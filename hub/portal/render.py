"""Turns a page's name and values into HTML: the templates in the reader's language, times and sizes, the banner."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from hub.portal.compression import mask
from hub.portal.headers import LIVE_POLICY, SCRIPT_POLICY
from hub.portal.languages import ENGLISH, Language, gettext, later, ngettext, speaking, spoken
from hub.portal.login import Visitor
from hub.portal.zones import readers_zone, showing, shown_zone
from hub.settings import Settings

HERE = Path(__file__).parent
BANNERS: Mapping[str, tuple[str, str]] = {
    "process": (
        "warn",
        later(
            "Trial mode, without containers: students' servers share this machine. For a first look only. "
            "<code>sudo make docker</code>, then <code>make up</code>, gives everybody a container."
        ),
    ),
    "process-unjailed": (
        "danger",
        later(
            "No walls between people: this machine has neither containers nor user namespaces, so whoever logs in "
            "can read everything here. Never use it with real students. <code>ict doctor</code> says what is missing."
        ),
    ),
}
# of a lab, of a submission, of a server: a table shows thousands of them, so they are no dictionary of a template
_STATES = frozenset(
    (
        later("not started"),
        later("working"),
        later("submitted"),
        later("graded"),
        later("feedback out"),
        later("by hand"),
        later("failed"),
        later("running"),
        later("starting"),
        later("stopping"),
        later("open"),
        later("answered"),
        later("closed"),
    )
)


class Render:
    """Renders pages of one site."""

    def __init__(
        self,
        settings: Settings,
        *,
        prefix: str,
        hub_prefix: str,
        mode: str,
        languages: tuple[Language, ...] = (ENGLISH,),
    ) -> None:
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
            extensions=["jinja2.ext.i18n"],
        )
        self._jinja.policies["ext.i18n.trimmed"] = True
        # newstyle: what is put into a sentence is escaped
        self._jinja.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
        self._jinja.filters |= {
            "moment": self.moment,
            "day": self.day,
            "left": time_left,
            "size": size,
            "points": lambda value: spoken().number(value),
            "percent": lambda share: spoken().percent(share),
            "state_word": state_word,
            "translated": gettext,  # a constant of ours; the answer is escaped like any value
        }
        self._jinja.globals |= {
            "site": settings.site.name,
            "zone": shown_zone,
            "base": prefix,
            "hub": hub_prefix,
            "version": version,
            "banner": BANNERS.get(mode),
            "languages": languages,
            "spoken": spoken,
        }

    def page(
        self, template: str, visitor: Visitor | None = None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A whole page in the reader's language, for `visitor` or for nobody in particular.

        refresh_s: follow.js looks for news after so many seconds. live: progress.js listens for them. Without
        JavaScript the page loads itself again, after reload_s seconds if that is not to be as soon.
        """
        values = {"refresh_s": 0, "live": False} | values
        values = {"reload_s": values["refresh_s"]} | values
        values |= {"visitor": visitor, "notice": visitor.session.take_notice() if visitor else ""}
        values["form_token"] = mask(visitor.session.csrf) if visitor else ""
        # Instructors' pages are English and have the site's times: what is typed there is in the site's zone too.
        students = is_translated(template)
        zone = readers_zone() if students else None
        values["own_zone"] = students
        values["ask_zone"] = students and visitor is not None and zone is None  # zone.js answers, once
        with speaking(spoken() if students else ENGLISH), showing(zone or self._zone):
            page = HTMLResponse(self._jinja.get_template(template).render(values), status)
        if values["live"] or values["refresh_s"]:
            page.headers["Content-Security-Policy"] = LIVE_POLICY
        elif values["ask_zone"]:
            page.headers["Content-Security-Policy"] = SCRIPT_POLICY
        return page

    def moment(self, when: datetime) -> Markup:
        """A moment in the time zone of the page, exact for machines; the site's outside of one."""
        return Markup('<time datetime="{}">{}</time>').format(
            when.astimezone(UTC).isoformat(timespec="seconds"),
            spoken().moment(when, shown_zone() or self._zone),
        )

    def day(self, when: datetime) -> Markup:
        """The day of a moment in the same time zone, for tables in which thousands of them stand."""
        return _day(when.astimezone(shown_zone() or self._zone).date())


@functools.lru_cache(maxsize=1000)
def _day(day: date) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(day, f"{day.day} {day:%b %Y}")


@functools.cache
def is_translated(template: str) -> bool:
    """Whether a page has anything to translate; one without is English as a whole, with its dates and its frame."""
    source = (HERE / "templates" / template).read_text(encoding="utf-8")
    return "{% trans" in source or "_(" in source


def state_word(name: str) -> str:
    """A state in the reader's language; what pages do not name comes back as it is."""
    return gettext(name) if name in _STATES else name


def time_left(when: datetime) -> list[str]:
    """How long it is until `when`, in words: the largest unit, and the next where there is something of it."""
    return spoken().span(when - datetime.now(UTC))


def size(count: int) -> Markup:
    """Bytes for people, exact for machines."""
    return Markup('<data value="{}">{}</data>').format(count, spoken().size(count))
