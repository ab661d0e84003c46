"""README.md shows the pictures that `make pictures` takes, each with words for those who cannot see it, and small."""

from __future__ import annotations

import re
from pathlib import Path

from docs.pictures.make import LOOKS, MOST_BYTES, PICTURES

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def test_the_readme_shows_each_picture_that_is_taken(root: Path) -> None:
    shown = {path: words for words, path in PICTURE.findall((root / "README.md").read_text(encoding="utf-8"))}

    assert {f"docs/pictures/{row.name}.webp" for row in PICTURES} <= set(shown)
    for path, words in shown.items():
        assert len(words) > 20, path
        assert 0 < (root / path).stat().st_size <= MOST_BYTES, path


def test_no_picture_is_kept_that_nobody_sees(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")

    assert all(
        f"docs/pictures/{file.name}" in readme for file in (root / "docs/pictures").glob("*.[pw][ne][gb]*")
    )


def test_there_are_pictures_of_both_roles_in_every_look() -> None:
    assert {row.look for row in PICTURES} == set(LOOKS)
    assert len({row.person for row in PICTURES}) == 2
    assert len({row.name for row in PICTURES}) == len(PICTURES)
