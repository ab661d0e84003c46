"""Receipts: what they state, and that nothing else passes for one."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.receipts import ReceiptRefused, Receipts, verify

FIELDS = {"id": "a" * 32, "course": "ict101", "lab": "net", "username": "alice", "sha256": "b" * 64}


@pytest.fixture(scope="module")
def receipts(tmp_path_factory: pytest.TempPathFactory) -> Receipts:
    """A site's key."""
    return Receipts.open(tmp_path_factory.mktemp("secrets"))


def test_anybody_with_the_public_key_can_check_a_receipt(receipts: Receipts) -> None:
    """And reads from it what was signed."""
    assert verify(receipts.sign(FIELDS), receipts.public_key) == FIELDS
    assert receipts.verify(f" {receipts.sign(FIELDS)}\n") == FIELDS


def test_the_key_stays_the_same_and_private(tmp_path: Path) -> None:
    """A second start reads the first one's key; only the owner can."""
    first, second = Receipts.open(tmp_path / "secrets"), Receipts.open(tmp_path / "secrets")

    assert first.public_key == second.public_key
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()] == [0o600]


def test_of_many_first_starts_one_key_wins(tmp_path: Path) -> None:
    """Whoever comes first."""
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(Receipts.open(tmp_path).public_key)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8 and len(set(keys)) == 1


def test_a_broken_key_is_not_replaced(tmp_path: Path) -> None:
    """A new key would make every receipt given worthless."""
    (tmp_path / "receipt_key").write_text("not a key")

    with pytest.raises(ReceiptRefused, match="backup"):
        Receipts.open(tmp_path)
    assert (tmp_path / "receipt_key").read_text() == "not a key"


def test_another_site_s_receipt_is_refused(receipts: Receipts, tmp_path: Path) -> None:
    """Same fields, other key."""
    with pytest.raises(ReceiptRefused, match="not given by this site"):
        receipts.verify(Receipts.open(tmp_path).sign(FIELDS))


@given(st.data())
def test_no_changed_receipt_is_valid(receipts: Receipts, data: st.DataObject) -> None:
    """Any one character changed, added or removed."""
    good = receipts.sign(FIELDS)
    place = data.draw(st.integers(0, len(good) - 1))
    char = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda c: not c.isspace()))
    bad = data.draw(
        st.sampled_from(
            [
                good[:place] + char + good[place + 1 :],
                good[:place] + good[place + 1 :],
                good[:place] + char + good[place:],
            ]
        )
    )
    if bad == good:
        return

    with pytest.raises(ReceiptRefused):
        receipts.verify(bad)


@given(st.text())
def test_no_text_is_a_receipt(receipts: Receipts, text: str) -> None:
    """Refused with a sentence, whatever it is."""
    for candidate in (text, f"ICT1.{text}", f"ICT1.{text}.{text}"):
        with pytest.raises(ReceiptRefused):
            receipts.verify(candidate)


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_fields_come_back_as_they_went_in(receipts: Receipts, fields: dict[str, object]) -> None:
    """Whatever JSON can hold."""
    if len(json.dumps(fields)) < 1000:
        assert receipts.verify(receipts.sign(fields)) == fields
