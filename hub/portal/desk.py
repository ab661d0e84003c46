"""What every page has at hand, and the questions all pages ask: who is it, and may they."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from fastapi import HTTPException, Request
from starlette.responses import RedirectResponse

from grader.models import Release, Submission
from grader.names import is_submission_id
from grader.store import NotThere, Store
from grader.whereabouts import Whereabouts
from hub.portal.catalogue import Catalogue
from hub.portal.csrf import read_form
from hub.portal.hubclient import HubClient
from hub.portal.languages import gettext as _
from hub.portal.languages import later
from hub.portal.limits import Limits
from hub.portal.login import Login, Visitor
from hub.portal.opening import Opening
from hub.portal.render import Render
from hub.portal.starts import Starts
from hub.settings import Settings

_LONG_FORM_BYTES = 1024 * 1024
_NO_PAGE = later("There is no such page for you. It may be somebody else's, or the address is not whole.")


@dataclass(frozen=True)
class Desk:
    """The parts of the portal that pages work with."""

    settings: Settings
    store: Store
    hub: HubClient
    login: Login
    starts: Starts
    whereabouts: Whereabouts
    opening: Opening
    catalogue: Catalogue
    render: Render
    prefix: str  # path of the portal, with a slash at the end
    hub_prefix: str  # path of the hub's own pages
    user_prefix: str  # path below which people's servers are
    limits: Limits = field(default_factory=Limits)

    async def visitor(self, request: Request) -> Visitor:
        """FastAPI dependency: who asks."""
        return await self.login.visitor(request)

    async def form(self, request: Request) -> tuple[Visitor, dict[str, str]]:
        """FastAPI dependency of every POST: who asks, and the fields of a form that is really theirs."""
        visitor = await self.login.visitor(request)
        request.state.fields = await read_form(request, visitor.session)
        return visitor, request.state.fields

    async def long_form(self, request: Request) -> tuple[Visitor, dict[str, str]]:
        """As `form`, for one with a comment on each exercise."""
        visitor = await self.login.visitor(request)
        return visitor, await read_form(request, visitor.session, _LONG_FORM_BYTES)

    def to(self, *parts: str) -> RedirectResponse:
        """After a form: on to a page of the portal."""
        return RedirectResponse(self.prefix + "/".join(quote(part, safe="") for part in parts), 303)

    def release(self, visitor: Visitor, course: str, lab: str) -> Release:
        """A lab that this person may open. Raises HTTPException."""
        if not visitor.person.may_learn(course):
            raise no_page()
        try:
            row = self.store.find_release(course, lab)
        except NotThere:
            raise no_page() from None
        return row

    def there(self, course: str) -> str:
        """`course`, if there is one: a group of the hub can outlive its course."""
        try:
            self.store.course(course)
        except NotThere:
            raise no_page() from None
        return course

    def taught(self, visitor: Visitor, course: str) -> str:
        """`course`, if this person teaches it. The answer does not say whether there is such a course."""
        if not visitor.person.may_teach(course):
            raise HTTPException(
                403, _("This page is for the course's instructors. Ask one of them to add you.")
            )
        return self.there(course)

    def helped(self, visitor: Visitor, course: str) -> str:
        """As `taught`, for pages that the course's assistants have too."""
        if not visitor.person.may_help(course):
            raise HTTPException(
                403,
                _("This page is for the course's instructors and assistants. Ask an instructor to add you."),
            )
        return self.there(course)

    def operator(self, visitor: Visitor) -> None:
        """Let only those pass who run the site."""
        if not visitor.person.admin:
            raise HTTPException(403, _("This page is for those who run this site."))

    def own_submission(self, visitor: Visitor, submission_id: str) -> Submission:
        """A submission of this person's own, or of a course they teach; no guess finds out about others."""
        if not is_submission_id(submission_id):
            raise no_page()
        try:
            row = self.store.submission(submission_id)
        except NotThere:
            raise no_page() from None
        if row.username != visitor.name and not visitor.person.may_help(row.course):
            raise no_page()
        return row


def no_page() -> HTTPException:
    """The one answer for what is not there and for what is not theirs."""
    return HTTPException(404, _(_NO_PAGE))
