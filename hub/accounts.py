"""Accounts of NativeAuthenticator, for the command line and the hub: made, approved, given new passwords."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import bcrypt
from jupyterhub.orm import new_session_factory
from nativeauthenticator.orm import UserInfo
from sqlalchemy.orm import Session

from grader.models import Member
from grader.names import check_username
from hub.settings import Settings

MAX_PENDING = 1000  # sign-ups that wait; more are refused, so that nobody fills the database from outside


class AccountError(Exception):
    """An account cannot be made or changed; the message says why."""


class NoAccount(AccountError):
    """There is no account of that name."""


def hub_database_url(settings: Settings) -> str:
    """JupyterHub's own database."""
    return f"sqlite:///{settings.places.data / 'jupyterhub.sqlite'}"


def hash_password(password: str) -> bytes:
    """bcrypt, a quarter of a second: call it in a thread."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())


def is_password(password: str, hashed: bytes) -> bool:
    """bcrypt, a quarter of a second: call it in a thread."""
    return bcrypt.checkpw(password.encode()[:72], hashed)


def new_password() -> str:
    """Sixteen characters that are easy to read out, about 80 bits."""
    return "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(16))


class Accounts:
    """The accounts of one site, in JupyterHub's database. Works with the hub up or down."""

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it would talk on the terminal
        settings.places.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._factory = new_session_factory(hub_database_url(settings))
        with self._session() as session:
            UserInfo.__table__.create(session.get_bind(), checkfirst=True)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._factory()
        try:
            yield session
            session.commit()
        finally:
            session.close()

    def add(self, name: str, password: str, *, authorized: bool = True) -> None:
        """Make an account. Raises AccountError, NameRefused."""
        check_username(name)
        hashed = hash_password(password)
        with self._session() as session:
            if UserInfo.find(session, name) is not None:
                raise AccountError(
                    f"{name} has an account already. `ict people password {name}` sets a new password."
                )
            session.add(UserInfo(username=name, password=hashed, is_authorized=authorized))

    def exists(self, name: str) -> bool:
        """Whether `name` has an account, approved or not."""
        with self._session() as session:
            return UserInfo.find(session, name) is not None

    def approve(self, name: str) -> None:
        """Let `name` log in. Raises AccountError."""
        with self._session() as session:
            _find(session, name).is_authorized = True

    def discard(self, name: str) -> None:
        """Forget a request for an account that waits. Raises AccountError."""
        with self._session() as session:
            account = _find(session, name)
            if account.is_authorized:
                raise AccountError(f"{name} is approved already: take the approval back first.")
            session.delete(account)

    def set_password(self, name: str, password: str) -> None:
        """Give `name` a new password. Raises AccountError."""
        hashed = hash_password(password)
        with self._session() as session:
            _find(session, name).password = hashed

    def people(self) -> list[tuple[str, str, bool]]:
        """Every account: (name, e-mail, approved)."""
        with self._session() as session:
            rows = session.query(UserInfo).order_by(UserInfo.username).all()
            return [(row.username, row.email or "", bool(row.is_authorized)) for row in rows]


def roster_says(members: Sequence[Member], email: str) -> str:
    """What the rosters say about somebody who asks for an account with this address."""
    if not members:
        return "on no roster"
    known = next((member.email for member in members if member.email), "")
    where = f"on the roster of {members[0].course}"
    if not known:
        return f"{where}, without an e-mail address"
    if known.lower() == email.lower():
        return f"{where}, same e-mail address"
    return f"{where} as {known}: the address differs. Ask the person"


def _find(session: Session, name: str) -> UserInfo:
    account = UserInfo.find(session, name)
    if account is None:
        raise NoAccount(f"{name} has no account. They sign up on the login page, or: ict people add {name}")
    return account
