"""The languages of the portal: one file locale/<code>.po each, which of them a reader gets, and how it writes numbers."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from gettext import NullTranslations
from pathlib import Path
from typing import Literal

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.core import get_global
from babel.dates import format_skeleton, format_timedelta, get_datetime_format
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from babel.units import format_unit
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

LANGUAGE_COOKIE = "ictlabs-language"
LOCALE_FOLDER = Path(__file__).parent / "locale"
_LONGEST_HEADER = 500  # a browser sends some 50 characters
_WRITES_AS = {"en": "en-GB"}  # day before month, as most of the world that reads our English has it


class LanguagesRefused(Exception):
    """A catalogue or the setting cannot be used; the message names it and says what to do."""


@dataclass(frozen=True, eq=False)
class Language:
    """One language; tag: as HTML and browsers write it, such as zh-Hans."""

    tag: str
    catalogue: NullTranslations

    @property
    def locale(self) -> Locale:
        """What Babel knows about it."""
        return Locale.parse(self.tag, sep="-")

    @property
    def name(self) -> str:
        """Its name in itself."""
        return self.locale.get_display_name() or self.tag

    @property
    def direction(self) -> str:
        """ltr or rtl, for HTML."""
        return self.locale.text_direction

    @property
    def _writes_as(self) -> Locale:
        return Locale.parse(_WRITES_AS.get(self.tag, self.tag), sep="-")

    def moment(self, when: datetime, zone: tzinfo) -> str:
        """Weekday, date and time of `when` in `zone`; 24 hours in every language, so that no deadline is mistaken."""
        locale = self._writes_as
        date, time = (
            format_skeleton(skeleton, when, tzinfo=zone, locale=locale) for skeleton in ("yMMMEd", "Hm")
        )
        both = get_datetime_format("medium", locale=locale)
        return str(both).replace("{1}", date).replace("{0}", time)

    def span(self, delta: timedelta) -> list[str]:
        """How long something is, in its one or two largest units, rounded down: nobody is promised a minute too many."""
        minutes = max(0, int(delta.total_seconds())) // 60
        parts: list[tuple[Literal["day", "hour", "minute"], timedelta]] = [
            ("day", timedelta(days=minutes // 1440)),
            ("hour", timedelta(hours=minutes // 60 % 24)),
            ("minute", timedelta(minutes=minutes % 60)),
        ]
        first = next((at for at, (_, length) in enumerate(parts) if length), 2)
        return [
            format_timedelta(length, granularity=unit, threshold=math.inf, locale=self.locale)
            for at, (unit, length) in enumerate(parts[first : first + 2])
            if length or not at
        ]

    def number(self, value: float) -> str:
        """A number, with two decimals at most."""
        return format_decimal(value, "0.##", locale=self.locale)

    def percent(self, share: float) -> str:
        """A share of 1 in whole percents."""
        return format_percent(share, locale=self.locale)

    def listed(self, names: list[str]) -> str:
        """Names as a sentence counts them up: a, b and c."""
        return format_list(names, locale=self._writes_as)

    def size(self, count: int) -> str:
        """Bytes for people."""
        units = ((1e9, "digital-gigabyte"), (1e6, "digital-megabyte"), (1e3, "digital-kilobyte"))
        factor, unit = next((each for each in units if count >= each[0]), units[-1])
        return format_unit(round(count / factor, 1), unit, length="short", locale=self.locale)


ENGLISH = Language("en", NullTranslations())  # what the templates and modules are written in
_spoken: ContextVar[Language] = ContextVar("spoken", default=ENGLISH)


def spoken() -> Language:
    """The language of the request that is being answered; English outside of one."""
    return _spoken.get()


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Speak `language` for a while."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def gettext(message: str) -> str:
    """`message` in the reader's language. The empty message is empty: a catalogue keeps its header there."""
    return spoken().catalogue.gettext(message) if message else ""


def ngettext(one: str, many: str, count: int) -> str:
    """The form for `count` in the reader's language."""
    return spoken().catalogue.ngettext(one, many, count)


def apart(text: str) -> str:
    """What people wrote, for the middle of a sentence: Unicode's isolates keep its direction from turning the rest."""
    return f"\u2068{text}\u2069"


def later(message: str) -> str:
    """Mark a constant for the catalogues; `gettext` translates it when there is a reader."""
    return message


class Languages:
    """The languages of a site: English and whatever lies in the folder."""

    def __init__(self, default: str = ENGLISH.tag, folder: Path = LOCALE_FOLDER) -> None:
        """Read every catalogue. default: for browsers that ask for none of them. Raises LanguagesRefused."""
        found = [ENGLISH, *(_read(file) for file in sorted(folder.glob("*.po")))]
        self._by_tag = {language.tag.lower(): language for language in found}
        known = self._nearest([default.replace("_", "-")])
        if known is None:
            raise LanguagesRefused(
                f'portal.language: there is no language "{default}". There are: {", ".join(self._by_tag)}.'
            )
        self._default = known

    def __iter__(self) -> Iterator[Language]:
        """By name, for a list to choose from."""
        return iter(sorted(self._by_tag.values(), key=lambda language: language.name.casefold()))

    def find(self, tag: str) -> Language | None:
        """The language with exactly this tag."""
        return self._by_tag.get(tag.lower())

    def choose(self, chosen: str, accepted: str) -> Language:
        """The reader's own choice (the cookie), else the browser's (Accept-Language), else the site's."""
        return self.find(chosen) or self._nearest(_by_wish(accepted)) or self._default

    def _nearest(self, wished: list[str]) -> Language | None:
        tags = list(self._by_tag)
        aliases = {tag.split("-")[0]: tag for tag in reversed(tags)}  # Chinese of any kind before English
        near = [each for tag in wished for each in _widened(tag)]
        found = negotiate_locale(near, tags, sep="-", aliases=aliases)
        return self._by_tag[found.lower()] if found else None


class ReadersLanguage:
    """ASGI middleware: a request is answered in its reader's language; the API is in English, for programs."""

    def __init__(self, app: ASGIApp, languages: Languages, api_prefix: str) -> None:
        """Wrap `app`."""
        self.app = app
        self._languages = languages
        self._api_prefix = api_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. The language stays set: each request is a task of its own, and faults are told further out."""
        if scope["type"] == "http":
            asked = HTTPConnection(scope)
            language = self._languages.choose(
                asked.cookies.get(LANGUAGE_COOKIE, ""), asked.headers.get("accept-language", "")
            )
            _spoken.set(ENGLISH if scope["path"].startswith(self._api_prefix) else language)
        await self.app(scope, receive, send)


@functools.cache  # once a process
def _read(file: Path) -> Language:
    try:
        locale = Locale.parse(file.stem)
    except (ValueError, UnknownLocaleError) as error:
        raise LanguagesRefused(
            f"{file}: {file.stem} is not the code of a language. Name it like fr.po or pt_BR.po."
        ) from error
    try:
        with file.open("rb") as stream:
            catalogue = read_po(stream, locale=locale, abort_invalid=True)
        wrong = [f"{message.id}: {errors[0]}" for message, errors in catalogue.check()]
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        language = Language(file.stem.replace("_", "-"), Translations(compiled, domain=None))
    except (PoFileError, ValueError, OSError) as error:  # Unicode and the formula of plurals are ValueErrors
        raise LanguagesRefused(f"{file}: not a catalogue: {error}. Mend it, or take it away.") from error
    if wrong:
        raise LanguagesRefused(f"{file}: a translation does not fit its message: {wrong[0]}. Mend it.")
    return language


def _by_wish(header: str) -> list[str]:
    """Tags of an Accept-Language header, the dearest first."""
    wishes: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, quality = part.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if weight > 0:
            wishes.append((-weight, tag.strip()))
    return [tag for _, tag in sorted(wishes, key=lambda wish: wish[0])]


def _widened(tag: str) -> list[str]:
    """zh-CN is also zh-Hans and zh: a script matters more than a country."""
    try:
        locale = Locale.parse(tag, sep="-")
    except (ValueError, TypeError, UnknownLocaleError):
        return []
    likely = get_global("likely_subtags").get(locale.language, "").split("_")
    script = locale.script or (likely[1] if len(likely) > 1 else "")
    return [tag, f"{locale.language}-{script}", locale.language]
