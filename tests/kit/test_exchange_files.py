"""What is packed for handing in: everything, or a complaint that names the file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ictlab.exchange.files import pack_folder

NOBODY = 65534


@pytest.fixture
def folder_of_an_ordinary_user() -> Iterator[Path]:
    """A folder that belongs to whom this test becomes: root could read everything."""
    folder = Path(tempfile.mkdtemp(prefix="ictlab-"))
    ordinary = os.geteuid() == 0
    if ordinary:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if ordinary:
            os.seteuid(0)
        shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o000, 0o644])
def test_a_folder_that_cannot_be_read_is_named_and_not_left_out(
    folder_of_an_ordinary_user: Path, mode: int
) -> None:
    closed = folder_of_an_ordinary_user / "closed"
    closed.mkdir()
    (closed / "work.txt").write_text("mine")
    closed.chmod(mode)

    with pytest.raises(PermissionError) as refusal:
        pack_folder(folder_of_an_ordinary_user)

    assert "closed" in str(refusal.value.filename)
    closed.chmod(0o700)


def test_a_folder_that_can_be_read_is_packed_the_same_each_time(folder_of_an_ordinary_user: Path) -> None:
    (folder_of_an_ordinary_user / "work.txt").write_text("mine")

    assert pack_folder(folder_of_an_ordinary_user) == pack_folder(folder_of_an_ordinary_user)
