"""What the hub asks the record each ten seconds about who is logged in, and what holds while nobody answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

from jupyterhub.orm import new_session_factory

from grader.store import MemberRow, Store
from hub.accounts import Accounts, hub_database_url
from hub.auth import SiteAuthenticator
from hub.settings import Settings


def test_groups_are_the_records_and_stay_as_they_are_while_it_is_away(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101")
    store.enrol("ict101", [MemberRow("alice")])
    Accounts(settings).add("alice", "a-long-password-of-alice")
    accounts = new_session_factory(hub_database_url(settings))()
    authenticator = SiteAuthenticator(db=accounts, groups_of=store.groups_of)

    def refreshed(name: str) -> object:
        return asyncio.run(authenticator.refresh_user(SimpleNamespace(name=name)))

    answered = refreshed("alice")
    store.close()
    file = settings.places.data / "ictlabs.sqlite"
    file.rename(file.with_suffix(".away"))
    file.mkdir()  # where the database was, nothing can be opened

    assert answered == {"name": "alice", "groups": ["nbgrader-ict101"]}
    assert refreshed("alice") is True
    assert refreshed("mallory") is False
    accounts.close()
