"""The portal as one FastAPI app: its parts put together, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import RedirectResponse, Response

from grader.classapi import class_router
from grader.exchange import exchange_router
from grader.models import Job
from grader.people import Person
from grader.store import Store
from grader.whereabouts import Live, Whereabouts
from hub.portal.api.description import describe
from hub.portal.api.questions import question_api
from hub.portal.audit import Audit
from hub.portal.catalogue import Catalogue
from hub.portal.compression import Compression
from hub.portal.desk import Desk
from hub.portal.headers import DEFAULTS, SecurityHeaders
from hub.portal.health import Health, health_route
from hub.portal.hubclient import HubAway, HubClient, HubError, NotAllowed
from hub.portal.languages import Languages, ReadersLanguage, later
from hub.portal.languages import gettext as _
from hub.portal.login import Login, LoginNeeded, Visitor
from hub.portal.metrics import REQUEST_ID, Metrics, Requests, metrics_route
from hub.portal.opening import Opening
from hub.portal.pages.administration import administration_pages
from hub.portal.pages.announcements import announcement_pages
from hub.portal.pages.catalogue import catalogue_pages
from hub.portal.pages.grading import grading_pages
from hub.portal.pages.hand import hand_pages
from hub.portal.pages.inquire import inquire_pages
from hub.portal.pages.inquiries import inquiry_pages
from hub.portal.pages.insight import insight_pages
from hub.portal.pages.instructor import instructor_pages
from hub.portal.pages.language import language_pages
from hub.portal.pages.marking import marking_pages
from hub.portal.pages.now import now_pages
from hub.portal.pages.opencourses import open_course_pages
from hub.portal.pages.people import people_pages
from hub.portal.pages.progress import progress_pages
from hub.portal.pages.questions import question_pages
from hub.portal.pages.release import release_pages
from hub.portal.pages.server import server_pages
from hub.portal.pages.student import student_pages
from hub.portal.pages.timezone import timezone_pages
from hub.portal.progress import progress_routes
from hub.portal.render import HERE, Render
from hub.portal.sessions import Sessions
from hub.portal.starts import Starts
from hub.portal.zones import ReadersZone
from hub.settings import Settings
from hub.site import METRICS_TOKEN, secret

log = logging.getLogger("ictlabs.portal")

_AUTHORIZATION = re.compile(r"(?:token|bearer) +(\S{8,256})", re.IGNORECASE)
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "progress.js": "text/javascript; charset=utf-8",
    "follow.js": "text/javascript; charset=utf-8",
    "zone.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_OUR_FAULT = later(
    "The portal has a fault of its own. Nothing of yours is lost. Try again, then tell the operator."
)


def create_app(
    settings: Settings,
    store: Store,
    hub: HubClient,
    *,
    prefix: str = "/services/portal/",
    base_url: str = "/",
    callback_url: str = "",
    mode: str = "docker",
    languages: Languages | None = None,
) -> FastAPI:
    """Make the portal of a site.

    `prefix`: its path. `base_url`: the path of the whole hub. `callback_url`: where the hub sends people after
    login. `mode`: docker, process or process-unjailed, for the banner. Raises LanguagesRefused.
    """
    languages = languages or Languages(settings.portal.language)
    hub_prefix = f"{base_url}hub/"
    login = Login(
        hub,
        Sessions(settings.portal.session_h),
        prefix=prefix,
        authorize_url=f"{hub_prefix}api/oauth2/authorize",
        callback_url=callback_url or f"{prefix}oauth_callback",
    )
    desk = Desk(
        settings=settings,
        store=store,
        hub=hub,
        login=login,
        starts=Starts(hub, settings.hub.starts_at_once),
        whereabouts=Whereabouts(store),
        opening=Opening(store, hub),
        catalogue=Catalogue(settings),
        render=Render(settings, prefix=prefix, hub_prefix=hub_prefix, mode=mode, languages=tuple(languages)),
        prefix=prefix,
        hub_prefix=hub_prefix,
        user_prefix=f"{base_url}user/",
    )

    health = Health(store, hub, settings.places)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        beside = [
            asyncio.create_task(each)
            for each in (
                desk.opening.watch(),
                _forget(store, settings.portal.audit_days),
            )
        ]
        yield
        for each in beside:
            each.cancel()
        await asyncio.to_thread(desk.whereabouts.write)
        health.close()
        await desk.starts.close()
        await hub.close()

    app = FastAPI(title="ICT Labs", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Audit, store=store, prefix=prefix.rstrip("/"))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(ReadersLanguage, languages=languages, api_prefix=f"{prefix}api/")
    app.add_middleware(ReadersZone)
    app.add_middleware(Compression, api=f"{prefix}api/")
    metrics = Metrics(store, desk.starts, settings.places.data)
    app.add_middleware(Requests, metrics=metrics)
    below = prefix.rstrip("/")
    pages = (
        student_pages,
        catalogue_pages,
        open_course_pages,
        timezone_pages,
        server_pages,
        instructor_pages,
        grading_pages,
        marking_pages,
        inquiry_pages,
        inquire_pages,
        people_pages,
        announcement_pages,
        question_pages,
        insight_pages,
        now_pages,
        hand_pages,
        progress_pages,
        release_pages,
        progress_routes,
        administration_pages,
    )
    for router in (make(desk) for make in pages):
        app.include_router(router, prefix=below)
    app.include_router(language_pages(desk, languages), prefix=below)
    app.include_router(health_route(health), prefix=below)
    app.include_router(metrics_route(metrics, secret(settings, METRICS_TOKEN)), prefix=below)

    def grade(course: str, lab: str, by: str, student: str | None) -> Job:
        if student is None:
            desk.limits.grading.press(by)
            return store.open_job(course, lab, by)[0]
        desk.limits.formgrader.press(by)
        return store.open_job(course, lab, by, students=[student], regrade=True)[0]

    caller = _caller(hub)
    zone = ZoneInfo(settings.site.timezone)
    live = Live(desk.whereabouts, desk.limits.events.press, desk.limits.hands.press)
    app.include_router(
        exchange_router(store, settings.grader.exchange, caller, grade=grade, zone=zone, live=live),
        prefix=below,
    )
    app.include_router(class_router(store, caller), prefix=below)
    app.include_router(question_api(desk, caller), prefix=below)
    describe(app, prefix)
    _doors(app, desk)
    _errors(app, desk)
    return app


async def _forget(store: Store, days: int) -> None:
    """Once a day, drop what is too old of the audit log."""
    while True:
        try:
            await asyncio.to_thread(store.forget_deeds, datetime.now(UTC) - timedelta(days=days))
        except Exception:
            log.exception("forgetting old lines of the audit log")
        await asyncio.sleep(86_400)


def _caller(hub: HubClient):  # type: ignore[no-untyped-def]  # FastAPI reads the inner function's signature
    async def caller(request: Request) -> Person:
        """Who calls the API: the owner of the hub token in the header. No cookie counts here."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", "").strip())
        if not found:
            raise HTTPException(401, "Say who you are: the header Authorization: token <your hub token>.")
        try:
            user = await hub.user(found[1])
        except HubError as error:
            raise HTTPException(_status(error), str(error)) from error
        if user is None:
            raise HTTPException(
                401, "The hub does not know this token. Restart your server to get a new one."
            )
        request.state.who = user.person.name  # for the audit log
        return user.person

    return caller


def _doors(app: FastAPI, desk: Desk) -> None:
    """Routes that need no login, and those that are about login."""
    login, prefix = desk.login, desk.prefix

    @app.get(f"{prefix}oauth_callback")
    async def callback(request: Request) -> Response:
        return await login.finish(request)

    @app.post(f"{prefix}logout")
    async def logout(request: Request) -> Response:
        await desk.form(request)
        return login.leave(request, f"{desk.hub_prefix}logout")

    @app.get(f"{prefix}static/{{name}}")
    async def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404)
        return FileResponse(
            HERE / "static" / name,
            media_type=_STATIC[name],
            headers={"Cache-Control": "public, max-age=31536000, immutable"},  # its address changes with it
        )

    @app.get(prefix.rstrip("/"))
    async def without_slash() -> Response:
        return RedirectResponse(prefix, 308)


def _errors(app: FastAPI, desk: Desk) -> None:
    """Every error is a sentence: JSON for programs, a page for people, never a trace back."""

    @app.exception_handler(LoginNeeded)
    async def login_needed(request: Request, _error: Exception) -> Response:
        return desk.login.ask(request)

    @app.exception_handler(AnyHTTPException)  # Starlette's own 404 and 405 too
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, AnyHTTPException)  # noqa: S101 (for mypy: Starlette's own type is wider)
        said = (
            error.detail
            if error.detail not in ("Not Found", "Method Not Allowed", "")
            else _("There is no such page.")
        )
        answer = await _sentence(desk, request, error.status_code, said)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, _error: Exception) -> Response:
        return await _sentence(
            desk, request, 422, _("The address has a part that cannot be right. Check it.")
        )

    @app.exception_handler(HubError)
    async def hub_error(request: Request, error: Exception) -> Response:
        return await _sentence(desk, request, _status(error), str(error))

    @app.exception_handler(Exception)
    async def fault(request: Request, _error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path)  # Starlette logs the trace back
        answer = await _sentence(desk, request, 500, _(_OUR_FAULT))
        # this handler answers outside of all middleware
        answer.headers.update(DEFAULTS | {"X-Request-ID": REQUEST_ID.get()})
        return answer


def _status(error: Exception) -> int:
    return 503 if isinstance(error, HubAway) else 403 if isinstance(error, NotAllowed) else 502


async def _sentence(desk: Desk, request: Request, status: int, said: str) -> Response:
    if request.url.path.startswith(f"{desk.prefix}api/"):
        return JSONResponse({"detail": said}, status)
    visitor: Visitor | None = None
    if status < 500:
        try:
            visitor = await desk.login.visitor(request)
        except (LoginNeeded, HubError):
            visitor = None
    return desk.render.page("error.html", visitor, status, status_code=status, said=said)
