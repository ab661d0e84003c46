"""How large a home is: what counts, what does not, and that nothing in it leads the measuring astray."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.homes import MOST_DEEP, Home, Size, homes, keep, measure
from hub.settings import HubSettings, Settings

MIB = 2**20


def fill(file: Path, mib: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(mib * MIB))
    return file


def mib(size: Size) -> int:
    return round(size.bytes / MIB)


def test_what_is_on_the_disk_counts_once_and_holes_do_not(tmp_path: Path) -> None:
    once = fill(tmp_path / "home" / "work" / "data", 2)
    (tmp_path / "home" / "again").hardlink_to(once)
    with (tmp_path / "home" / "holes").open("wb") as sparse:
        sparse.truncate(500 * MIB)

    size = measure(tmp_path / "home")

    assert (mib(size), size.whole) == (2, True)


def test_no_link_is_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere" / "large", 3)
    fill(tmp_path / "home" / "mine", 1)
    for name in ("folder", "large"):
        (tmp_path / "home" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "home" / "round").symlink_to(tmp_path / "home")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    assert mib(measure(tmp_path / "home")) == 1
    with pytest.raises(OSError, match="link"):
        measure(tmp_path / "link")


def test_a_home_made_to_be_slow_or_deep_is_counted_in_part_and_said_to_be(
    tmp_path: Path, make_deep: Callable[[Path], None]
) -> None:
    wide, deep = tmp_path / "wide", tmp_path / "deep"
    make_deep(deep)
    for number in range(50):
        fill(wide / str(number), 0)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    assert not measure(wide, most_entries=40).whole
    assert not measure(wide, most_s=0).whole
    assert measure(wide, most_entries=50).whole
    assert not measure(deep).whole
    assert measure(deep).bytes <= MOST_DEEP * 4096
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize(
    ("percent", "near", "over", "far_over"),
    [(79, False, False, False), (80, True, False, False), (101, True, True, False), (126, True, True, True)],
)
def test_notices_begin_before_the_limit_and_stops_well_after(
    percent: int, near: bool, over: bool, far_over: bool
) -> None:
    home = Home(Size(percent * MIB, whole=True), 100 * MIB)

    assert (home.is_near, home.is_over, home.is_far_over) == (near, over, far_over)


def test_what_is_kept_is_read_with_the_limit_of_today(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, hub=HubSettings(home_mb=100))
    settings.places.run.mkdir(parents=True)
    now = datetime.now(UTC)
    assert homes(settings) == {}

    keep(settings, {"alice": Home(Size(5, whole=False), 7, now)})

    assert homes(settings) == {"alice": Home(Size(5, whole=False), 100 * MIB, now)}
    assert homes(Settings(root=tmp_path, hub=HubSettings(home_mb=0))) == {}
