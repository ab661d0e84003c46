"""Which answers go out compressed, and why a secret in a page does not leak by its length (the attack BREACH)."""

from __future__ import annotations

import base64
import secrets

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_LEVEL = 5  # a class page of 500 KB takes 10 ms; at 9 it takes twice that and is 3 % smaller
_OWN = ("same-origin", "none")  # a link or a form of ours, or the address bar


class Compression:
    """ASGI middleware that compresses pages for browsers that take it.

    A compressed page tells by its length whether what somebody put into its address is in it a second time. So a page
    that another site made the browser ask for goes out as it is, and the token in our forms is masked anew each time.
    Programs' answers below api/ are archives mostly, and left alone.
    """

    def __init__(self, app: ASGIApp, api: str) -> None:
        """Wrap `app`. `api`: the path below which programs ask."""
        self._plain = app
        self._compressed = GZipMiddleware(app, compresslevel=_LEVEL)
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, compressed where that is safe and worth it."""
        fit = (
            scope["type"] == "http"
            and not scope["path"].startswith(self._api)
            and Headers(scope=scope).get("sec-fetch-site", "none") in _OWN
        )
        await (self._compressed if fit else self._plain)(scope, receive, send)


def mask(secret: str) -> str:
    """The secret under a fresh random pad, with the pad before it: of no use to who sees only lengths."""
    plain = secret.encode()
    pad = secrets.token_bytes(len(plain))
    hidden = bytes(a ^ b for a, b in zip(plain, pad, strict=True))
    return base64.urlsafe_b64encode(pad + hidden).decode()


def unmask(masked: str) -> str:
    """What `mask` was given; "" for anything that it did not make."""
    try:
        raw = base64.b64decode(masked, altchars=b"-_", validate=True)
        half = len(raw) // 2
        return bytes(a ^ b for a, b in zip(raw[:half], raw[half:], strict=True)).decode()
    except ValueError:
        return ""
