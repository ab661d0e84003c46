"""`make check` fails for a known vulnerability, and says so where it could not ask."""

from __future__ import annotations

from tests.audit import locks, verdict

SOUND = {"name": "jinja2", "version": "3.1.6", "vulns": []}
FAULTY = {"name": "jinja2", "version": "3.1.5", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.6"]}]}
SKIPPED = {"name": "ours", "skip_reason": "not found on PyPI"}


def test_a_known_vulnerability_fails_and_says_where_it_is_mended() -> None:
    passed, told = verdict("a.lock", {"dependencies": [SOUND, FAULTY]})

    assert not passed
    assert told[0] == "a.lock: jinja2 3.1.5: PYSEC-1, mended in 3.1.6"


def test_what_nobody_was_asked_about_is_not_called_sound() -> None:
    assert verdict("a.lock", {"dependencies": [SOUND, SKIPPED]}) == (
        True,
        ["a.lock: 1 packages audited, 0 faults known; NOT AUDITED: 1, which the index tells nothing about"],
    )
    assert verdict("a.lock", "no route to host") == (
        True,
        ["a.lock: NOT AUDITED, nobody answered: no route to host"],
    )


def test_every_lock_is_audited() -> None:
    assert {lock.parent.name for lock in locks()} >= {"base", "network", "data", "ai"}
    assert all(lock.is_file() for lock in locks())
