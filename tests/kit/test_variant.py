"""A student's own values: the same each time, others for others, and faults that are drawn from them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from ictlab.fault import Fault, break_some
from ictlab.variant import Variant


@given(some.text(min_size=1), some.integers(-1000, 1000), some.integers(0, 1000))
def test_a_number_is_in_its_range_and_the_same_again(seed: str, low: int, more: int) -> None:
    drawn = Variant(seed).number("one", low, low + more)

    assert low <= drawn <= low + more
    assert Variant(seed).number("one", low, low + more) == drawn


@given(some.text(min_size=1), some.integers(12, 30))
def test_a_network_lies_in_its_block(seed: str, prefix_length: int) -> None:
    drawn = Variant(seed).network("lan", "172.16.0.0/12", prefix_length)

    assert drawn.prefixlen == prefix_length
    assert drawn.subnet_of(ipaddress.IPv4Network("172.16.0.0/12"))


def test_others_have_others() -> None:
    drawn = {Variant(f"student {n}").network("lan", "10.0.0.0/8", 24) for n in range(50)}

    assert len(drawn) > 45


def test_the_seed_is_what_stands_beside_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Variant().seed == "preview"
    (tmp_path / ".variant").write_text("alice\n")

    assert Variant().seed == "alice"


@given(some.text(min_size=1), some.integers(0, 6))
def test_a_sample_has_different_things_in_their_order(seed: str, count: int) -> None:
    drawn = Variant(seed).sample("faults", "abcdef", count)

    assert len(set(drawn)) == count
    assert drawn == sorted(drawn)


def test_the_drawn_faults_are_caused_and_do_not_tell_what_they_are() -> None:
    caused: list[str] = []
    faults = [Fault(name, lambda name=name: caused.append(name)) for name in "abcd"]  # type: ignore[misc]

    broken = break_some(faults, 2, own=Variant("alice"))

    assert [fault.name for fault in broken] == caused
    assert len(caused) == 2
    assert "a" not in repr(broken).replace("Fault", "")
