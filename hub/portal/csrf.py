"""What a form must show before it changes anything: that a page of ours sent it, for this very session."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from fastapi import HTTPException, Request
from starlette.formparsers import MultiPartException, MultiPartParser

from hub.portal.compression import unmask
from hub.portal.languages import gettext as _
from hub.portal.sessions import Session

_MOST_BYTES = 64 * 1024  # our forms hold names and, once, a receipt
_MOST_FIELDS = 500  # three for each exercise of a lab, or one for each student of a page


@dataclass(frozen=True)
class Upload:
    """A form with a file in it. file: empty when none was chosen."""

    fields: dict[str, str]
    file: bytes


async def read_form(request: Request, session: Session, most_bytes: int = _MOST_BYTES) -> dict[str, str]:
    """The fields of a form of ours. Raises HTTPException for anything else."""
    body = await _body(request, "application/x-www-form-urlencoded", most_bytes)
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise _unreadable() from error
    return _sent_by(session, fields)


async def read_upload(request: Request, session: Session, most_bytes: int) -> Upload:
    """A form of ours with a file, `most_bytes` in all. Raises HTTPException for anything else."""
    body = await _body(request, "multipart/form-data", most_bytes)

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, whole(), max_files=1, max_fields=20, max_part_size=most_bytes)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:  # as header and body may be made up
        raise _unreadable() from error
    fields: dict[str, str] = {}
    file = b""
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields[name] = value
        else:
            file = await value.read()
    await form.close()
    return Upload(_sent_by(session, fields), file)


async def _body(request: Request, form: str, most_bytes: int) -> bytes:
    if not _same_origin(request):
        raise _refused()
    if request.headers.get("content-type", "").split(";")[0].strip() != form:
        raise HTTPException(
            415, _("This address takes the portal's own forms only. Go back and use the button.")
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413, _("That is too much text for this form. Shorten it and send it again."))
    return bytes(body)


def _sent_by(session: Session, fields: dict[str, str]) -> dict[str, str]:
    if not secrets.compare_digest(unmask(fields.pop("csrf", "")).encode(), session.csrf.encode()):
        raise _refused()
    return fields


def _same_origin(request: Request) -> bool:
    """What the browser says about where the form was. Old browsers only have Origin, and none lies for a page."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    # Hosts only: a proxy in front may drop the port, and the token below is the proof.
    return origin is None or urlsplit(origin).hostname == request.url.hostname


def _unreadable() -> HTTPException:
    return HTTPException(400, _("This form could not be read. Go back and send it again."))


def _refused() -> HTTPException:
    return HTTPException(
        403,
        _(
            "This did not come from an open page of yours, so nothing was changed. Go back, reload, press again."
        ),
    )
