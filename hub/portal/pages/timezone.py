"""The reader's own choice of a time zone, kept in a cookie of the portal's path that zone.js may write too."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from hub.portal.desk import Desk
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor, came_by_https
from hub.portal.zones import ZONE_COOKIE, find_zone, zones_by_region

_YEAR_S = 365 * 24 * 3600


def timezone_pages(desk: Desk) -> APIRouter:
    """The page that the foot of every student's page leads to."""
    router = APIRouter()
    who, sent = Depends(desk.visitor), Depends(desk.form)

    @router.get("/timezone")
    def ask(request: Request, visitor: Visitor = who) -> Response:
        """Choose a zone."""
        came_from = urlsplit(request.headers.get("referer", ""))
        return desk.render.page(
            "timezone.html",
            visitor,
            regions=zones_by_region(),
            back=desk.login.inside(came_from.path + (f"?{came_from.query}" if came_from.query else "")),
        )

    @router.post("/timezone")
    def choose(request: Request, form: tuple[Visitor, dict[str, str]] = sent) -> Response:
        """Keep the choice, and back to the page where the reader came from."""
        fields = form[1]
        zone = find_zone(fields.get("zone", ""))
        if zone is None:
            raise HTTPException(400, _("There is no such time zone. Choose one of the list."))
        answer = RedirectResponse(desk.login.inside(fields.get("back", "")), 303)
        answer.set_cookie(
            ZONE_COOKIE,
            zone.key,
            max_age=_YEAR_S,
            path=desk.prefix,
            samesite="lax",
            secure=came_by_https(request),
        )
        return answer

    return router
