"""Who enters, and which groups make a student or an instructor: NativeAuthenticator, adapted to JupyterHub 6.

NativeAuthenticator 1.3.0 keeps the accounts and knows the rules of passwords and lock-outs. Its handlers are not used:
the login page fails on JupyterHub 6 (it calls parts that are gone), bcrypt runs on the hub's event loop (0.25 s for
which nobody else is served), and accounts are approved by a GET, which any web page could make an admin's browser send.
"""

from __future__ import annotations

import asyncio
import re
import time
from functools import cache
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.login import LoginHandler
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo
from sqlalchemy.exc import SQLAlchemyError
from tornado import web
from traitlets import Callable

from grader.names import NameRefused, check_username
from grader.people import INSTRUCTOR_PREFIX, Person
from hub.accounts import MAX_PENDING, hash_password, is_password, roster_says

EMAIL = re.compile(r"[A-Za-z0-9.+_-]{1,64}@[A-Za-z0-9._-]{1,120}\.[A-Za-z]{2,24}")


@cache
def _nobody() -> bytes:
    """A hash that no password has: checked for unknown names, so that they take as long as known ones."""
    return hash_password("nobody has this account")


class SiteAuthenticator(NativeAuthenticator):
    """Accounts by sign-up and approval; groups from the courses in the record."""

    # functions of the record: traitlets copies configured objects deeply, and leaves functions alone
    groups_of = Callable(help="grader.store.Store.groups_of").tag(config=True)
    memberships = Callable(help="grader.store.Store.memberships").tag(config=True)
    note = Callable(help="grader.store.Store.note").tag(config=True)
    login_attempts: dict[str, dict[str, Any]]

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Check name and password; says in words what is wrong, but never whether a name exists."""
        name = self.normalize_username(data.get("username", "").strip())
        password = data.get("password", "")
        self._refuse_blocked(name)
        account = self.get_user(name)
        right = await asyncio.to_thread(is_password, password, account.password if account else _nobody())
        self._refuse_blocked(name)  # of many guesses sent at once, too, only the first few count
        if account is None or not right:
            self._count_failure(name)
            return None
        self.successful_login(name)
        if not account.is_authorized:
            raise web.HTTPError(403, "Your account waits for approval by an instructor. Ask yours.")
        return await self._model(name)

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> dict[str, Any] | bool:
        """Look again: a new course counts at once, an account that is no longer approved is logged out."""
        account = self.get_user(user.name)
        if account is None or not account.is_authorized:
            return False
        try:
            return await self._model(user.name)
        except SQLAlchemyError as error:  # the record is away for a while: nobody is logged out for that
            said = str(error).strip().splitlines()[0]
            self.log.warning("Groups of %s stay as they are; the record does not answer: %s", user.name, said)
            return True

    async def _model(self, name: str) -> dict[str, Any]:
        groups = await asyncio.to_thread(self.groups_of, name)
        return {"name": name, "groups": sorted(groups)}

    def _refuse_blocked(self, name: str) -> None:
        if self.is_blocked(name):
            minutes = self.seconds_before_next_try // 60 or 1
            raise web.HTTPError(403, f"Too many wrong passwords. Try again in {minutes} minutes.")

    def _count_failure(self, name: str) -> None:
        if len(self.login_attempts) > 10_000:  # names are free to invent: forget the old ones
            self.login_attempts = {k: v for k, v in self.login_attempts.items() if self.is_blocked(k)}
        self.add_login_attempt(name)

    def validate_username(self, username: str) -> bool:
        """Only names that can also be a folder and nbgrader's student id."""
        try:
            check_username(username)
        except NameRefused:
            return False
        return bool(super().validate_username(username))

    def password_problem(self, password: str, again: str) -> str | None:
        """Say what is wrong with a new password, or None."""
        if password != again:
            return "The two passwords differ."
        if len(password) < self.minimum_password_length:
            return f"The password needs {self.minimum_password_length} characters or more."
        if len(password.encode()) > 72:
            return "The password is longer than 72 bytes."  # bcrypt's limit
        if self.is_password_common(password):
            return "That password is one of the commonest there are. Choose another."
        return None

    def get_handlers(self, app: Any) -> list[tuple[str, type[BaseHandler]]]:
        """The pages of this authenticator under /hub/."""
        return [
            ("/login", LoginHandler),
            ("/signup", SignUp),
            ("/authorize", Authorize),
            ("/change-password", ChangePassword),
        ]


class SignUp(BaseHandler):
    """/hub/signup: ask for an account; it waits for approval."""

    async def get(self) -> None:
        """Show the form."""
        await self._show()

    async def post(self) -> None:
        """Keep the request for an account, or say what is wrong with it."""
        problem = await self._sign_up()
        if problem:
            self.set_status(400)
        await self._show(problem=problem, done=problem is None)

    async def _show(self, **values: Any) -> None:
        if not self.authenticator.enable_signup:
            raise web.HTTPError(404, "Sign-up is closed. Ask an instructor for an account.")
        name = self.get_body_argument("username", "")
        email = self.get_body_argument("email", "")
        self.finish(await self.render_template("signup.html", username=name, email=email, **values))

    async def _sign_up(self) -> str | None:
        name = self.authenticator.normalize_username(self.get_body_argument("username", ""))
        password = self.get_body_argument("signup_password", "", strip=False)
        email = self.get_body_argument("email", "")
        if problem := self._problem(name, email, password):
            return problem
        hashed = await asyncio.to_thread(hash_password, password)
        if self.authenticator.user_exists(name):  # somebody was quicker meanwhile
            return "That name is taken. Choose another."
        self.db.add(UserInfo(username=name, password=hashed, email=email, is_authorized=False))
        self.db.commit()
        return None

    def _problem(self, name: str, email: str, password: str) -> str | None:
        problem: str | None = None
        try:
            check_username(name)
        except NameRefused as refused:
            return str(refused)
        again = self.get_body_argument("signup_password_confirmation", "", strip=False)
        if not self.authenticator.enable_signup:
            problem = "Sign-up is closed."
        elif refused_password := self.authenticator.password_problem(password, again):
            problem = refused_password
        elif email and not EMAIL.fullmatch(email):
            problem = "That is not an e-mail address."
        elif self.authenticator.user_exists(name):
            problem = "That name is taken. Choose another."
        elif self.db.query(UserInfo).filter(UserInfo.is_authorized.is_(False)).count() >= MAX_PENDING:
            problem = "Too many accounts wait for approval. Tell an instructor."
        return problem


class ChangePassword(BaseHandler):
    """/hub/change-password: one's own."""

    @web.authenticated
    async def get(self) -> None:
        """Show the form."""
        self.finish(await self.render_template("change-password.html"))

    @web.authenticated
    async def post(self) -> None:
        """Set the new password, if the old one is right."""
        authenticator, name = self.authenticator, self.current_user.name
        if authenticator.is_blocked(name):
            raise web.HTTPError(403, "Too many wrong passwords. Try again later.")
        account = authenticator.get_user(name)
        old = self.get_body_argument("old_password", "", strip=False)
        new = self.get_body_argument("new_password", "", strip=False)
        again = self.get_body_argument("new_password_confirmation", "", strip=False)
        if account is None or not await asyncio.to_thread(is_password, old, account.password):
            authenticator.add_login_attempt(name)
            problem: str | None = "The old password is wrong."
        elif (problem := authenticator.password_problem(new, again)) is None:
            account.password = await asyncio.to_thread(hash_password, new)
            self.db.commit()
        if problem:
            self.set_status(400)
        page = self.render_template("change-password.html", problem=problem, done=problem is None)
        self.finish(await page)


class Authorize(BaseHandler):
    """/hub/authorize: an instructor or an admin approves accounts; only an admin takes an approval back."""

    def _is_admin(self) -> bool:
        return bool(self.current_user.admin)

    def _check_may_approve(self) -> None:
        if getattr(
            self, "_token_authenticated", False
        ):  # set by the hub only when true; a token of a server may do less than the person
            raise web.HTTPError(403, "Approve accounts in the browser, logged in.")
        teaches = any(group.name.startswith(INSTRUCTOR_PREFIX) for group in self.current_user.groups)
        if not (teaches or self._is_admin()):
            raise web.HTTPError(403, "Only instructors and administrators approve accounts.")

    async def _check_not_above(self, name: str) -> None:
        """Nobody becomes more than they are by signing up, under the name of an admin or of another
        course's instructor or assistant, and approving that account."""
        if self._is_admin():
            return
        mine = Person("", frozenset(group.name for group in self.current_user.groups))
        theirs = Person("", frozenset(await asyncio.to_thread(self.authenticator.groups_of, name)))
        above = theirs.helped_courses - mine.instructor_courses
        if above or name in self.authenticator.admin_users:
            raise web.HTTPError(
                403,
                f"{name} would have rights that you do not have. An administrator: ict people approve {name}",
            )

    @web.authenticated
    async def get(self) -> None:
        """List the accounts that wait, with what the rosters say about them."""
        self._check_may_approve()
        waiting = (
            self.db.query(UserInfo).filter(UserInfo.is_authorized.is_(False)).order_by(UserInfo.username)
        )
        rows = [await self._row(account) for account in waiting.limit(500)]
        approved: list[str] = []
        if self._is_admin():
            accounts = (
                self.db.query(UserInfo).filter(UserInfo.is_authorized.is_(True)).order_by(UserInfo.username)
            )
            approved = [account.username for account in accounts]
        page = self.render_template(
            "authorize.html", waiting=rows, approved=approved, me=self.current_user.name
        )
        self.finish(await page)

    async def _row(self, account: UserInfo) -> dict[str, str]:
        members = await asyncio.to_thread(self.authenticator.memberships, account.username)
        email = account.email or ""
        return {"name": account.username, "email": email, "roster": roster_says(members, email)}

    @web.authenticated
    async def post(self) -> None:
        """Approve, discard or revoke one account. The hub checks its anti-forgery token before this runs."""
        self._check_may_approve()
        name = self.get_body_argument("name")
        action = self.get_body_argument("action")
        account = self.authenticator.get_user(name)
        if account is None:
            raise web.HTTPError(404, f"{name} has no account any more.")
        if action == "approve":
            await self._check_not_above(account.username)
            account.is_authorized = True
        elif action == "discard" and not account.is_authorized:
            self.db.delete(account)
        elif action == "revoke" and self._is_admin() and name != self.current_user.name:
            account.is_authorized = False
        else:
            raise web.HTTPError(403, f"You may not {action} the account of {name}.")
        self.db.commit()
        await asyncio.to_thread(
            self.authenticator.note, self.current_user.name, f"account.{action}", subject=name
        )
        self.log.info("%s: account of %s: %s at %d", self.current_user.name, name, action, time.time())
        self.redirect(self.hub.base_url + "authorize")
