"""What a form must show before it changes anything: that a page of ours sent it, for this very session."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlsplit

from fastapi import HTTPException, Request

from hub.portal.sessions import Session

_MOST_BYTES = 64 * 1024  # our forms hold names and, once, a receipt


async def read_form(request: Request, session: Session) -> dict[str, str]:
    """The fields of a form of ours. Raises HTTPException for anything else."""
    if not _same_origin(request):
        raise _refused()
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(
            415, "This address takes the portal's own forms only. Go back and use the button."
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "That is too much text for this form. Shorten it and send it again.")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise HTTPException(400, "This form could not be read. Go back and send it again.") from error
    if not secrets.compare_digest(fields.pop("csrf", "").encode(), session.csrf.encode()):
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


def _refused() -> HTTPException:
    return HTTPException(
        403,
        "This did not come from an open page of yours, so nothing was changed. Go back, reload, press again.",
    )
