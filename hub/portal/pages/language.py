"""The reader's own choice of a language, kept in a cookie of the portal's path."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from hub.portal.desk import Desk
from hub.portal.languages import LANGUAGE_COOKIE, Languages
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor, came_by_https

_YEAR_S = 365 * 24 * 3600


def language_pages(desk: Desk, languages: Languages) -> APIRouter:
    """The form at the foot of every page."""
    router = APIRouter()
    sent = Depends(desk.form)

    @router.post("/language")
    def choose(request: Request, form: tuple[Visitor, dict[str, str]] = sent) -> Response:
        """Keep the choice, and back to the page where it was made."""
        language = languages.find(form[1].get("language", ""))
        if language is None:
            raise HTTPException(400, _("The portal does not speak this language. Choose one of the list."))
        came_from = urlsplit(request.headers.get("referer", ""))
        back = came_from.path + (f"?{came_from.query}" if came_from.query else "")
        answer = RedirectResponse(desk.login.inside(back), 303)
        answer.set_cookie(
            LANGUAGE_COOKIE,
            language.tag,
            max_age=_YEAR_S,
            path=desk.prefix,
            httponly=True,
            samesite="lax",
            secure=came_by_https(request),
        )
        return answer

    return router
