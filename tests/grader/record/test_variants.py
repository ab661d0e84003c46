"""Seeds of the students' own values: one each, the same for ever, and known to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.variants import Variants


def test_everybody_has_another_seed_in_every_lab_and_keeps_it(tmp_path: Path) -> None:
    who = [(course, lab, name) for course in ("a", "ab") for lab in ("b", "net") for name in ("alice", "bob")]
    first, second = Variants.open(tmp_path), Variants.open(tmp_path)

    seeds = [first.seed(*one) for one in who]

    assert len(set(seeds)) == len(who)
    assert seeds == [second.seed(*one) for one in who]


def test_another_site_has_other_seeds(tmp_path: Path) -> None:
    one, two = Variants.open(tmp_path / "one"), Variants.open(tmp_path / "two")

    assert one.seed("ict101", "net", "alice") != two.seed("ict101", "net", "alice")


def test_a_broken_key_is_not_replaced(tmp_path: Path) -> None:
    """With another one everybody would be graded on values that they never saw."""
    (tmp_path / "variant_key").write_text("not a key")

    with pytest.raises(ValueError, match="backup"):
        Variants.open(tmp_path)
    assert (tmp_path / "variant_key").read_text() == "not a key"
