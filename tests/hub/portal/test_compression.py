"""Compressed pages: only where their length tells nothing, and with a token that is never twice the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.portal.compression import mask, unmask


@given(st.text(alphabet=st.characters(codec="ascii"), min_size=1))
def test_a_masked_secret_comes_back_and_is_new_each_time(secret: str) -> None:
    first = mask(secret)

    assert unmask(first) == secret
    assert len(secret) < 8 or mask(secret) != first


@given(st.text())
def test_nonsense_unmasks_to_a_text_and_no_fault(text: str) -> None:
    assert isinstance(unmask(text), str)


def test_every_page_has_the_token_under_a_new_mask_and_each_of_them_works(visit: Any, school: Any) -> None:
    browser = visit("alice")

    tokens = [browser.csrf() for _ in range(3)]

    assert len(set(tokens)) == 3
    for token in tokens:
        assert browser.post("receipts/verify", csrf=token, receipt="x").status_code == 200
    assert browser.post("receipts/verify", csrf=unmask(tokens[0]), receipt="x").status_code == 403


@pytest.mark.parametrize("sent", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}])
def test_a_page_of_ours_goes_out_compressed(visit: Any, school: Any, sent: dict[str, str]) -> None:
    answer = visit("alice").get("", headers=sent)

    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_that_another_site_asked_for_does_not(visit: Any, school: Any, site: str) -> None:
    answer = visit("teacher").get("courses/ict101?q=alice", headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


def test_the_style_sheet_is_compressed_and_programs_answers_are_not(visit: Any, school: Any) -> None:
    browser = visit("alice")

    style = browser.get("static/style.css")
    programs = browser.get("api/exchange/releases", headers={"Authorization": "token token-alice"})

    assert style.headers["content-encoding"] == "gzip"
    assert programs.status_code == 200
    assert "content-encoding" not in programs.headers
