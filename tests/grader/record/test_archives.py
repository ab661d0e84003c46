"""Archives and names from people we do not trust."""

from __future__ import annotations

import io
import stat
import struct
import unicodedata
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.archives import ArchiveRefused, ArchiveTooLarge, inspect, pack, pack_folder, read_member, unpack
from grader.names import (
    MAX_DEPTH,
    NameRefused,
    check_course,
    check_lab,
    check_path,
    check_username,
    same_file_key,
)
from grader.settings import ExchangeSettings

LIMITS = ExchangeSettings(max_archive_mb=2, max_unpacked_mb=4, max_files=20, max_path_chars=100)
QUICK = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


def raw_zip(entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip with whatever names zipfile will write."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of duplicates
        for info, content in entries:
            archive.writestr(info, content)
    return buffer.getvalue()


def refused(tmp_path: Path, data: bytes, match: str | None = None) -> ArchiveRefused:
    """The error of an archive that must be refused, inspected and unpacked alike."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(data)
    with pytest.raises(ArchiveRefused, match=match) as caught:
        inspect(archive, LIMITS)
    with pytest.raises(ArchiveRefused):
        unpack(archive, tmp_path / "out", LIMITS)
    return caught.value


name = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="/\\"), min_size=1, max_size=20
).filter(lambda part: part not in (".", ".."))
path = st.lists(name, min_size=1, max_size=4).map("/".join)


@QUICK
@given(st.dictionaries(path, st.binary(max_size=2000), max_size=8))
def test_what_is_packed_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """Every file, byte for byte, unless two of them are one file to some file system."""
    keys = {same_file_key(path) for path in files}
    parents = {same_file_key("/".join(p.split("/")[:n])) for p in files for n in range(1, len(p.split("/")))}
    folder = tmp_path_factory.mktemp("a")
    archive = folder / "a.zip"
    archive.write_bytes(pack(files))
    if len(keys) != len(files) or keys & parents:
        with pytest.raises(ArchiveRefused):
            inspect(archive, LIMITS)
        return

    assert {entry.path: entry.size for entry in inspect(archive, LIMITS)} == {
        p: len(c) for p, c in files.items()
    }
    unpack(archive, folder / "out", LIMITS)
    assert {
        str(p.relative_to(folder / "out")): p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file()
    } == files
    assert archive.read_bytes() == pack(dict(reversed(files.items())))


@QUICK
@given(
    st.lists(
        st.one_of(
            st.text(min_size=1, max_size=30),
            st.sampled_from(["../x", "/etc/x", "a/../../x", "C:\\x", "..", "a//b", "./a", "~/x"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_name_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Whatever the names are: refused, or every file lies below the folder and nothing else was made."""
    root = tmp_path_factory.mktemp("a")
    archive = root / "a.zip"
    try:
        archive.write_bytes(raw_zip((name, b"x") for name in names))
    except (UnicodeEncodeError, ValueError, struct.error):
        return  # not even zipfile writes it
    out = root / "deep" / "out"
    try:
        entries = unpack(archive, out, LIMITS)
    except ArchiveRefused:
        entries = []

    for entry in entries:
        assert (out / entry.path).resolve().is_relative_to(out.resolve())
    assert {p.name for p in root.iterdir()} <= {"a.zip", "deep"}
    assert {p.name for p in (root / "deep").iterdir()} <= {"out"}


@settings(QUICK, max_examples=300)
@given(
    st.binary(max_size=300),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_broken_bytes_are_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    """A zip with changed, missing or foreign bytes is read or refused; no other error comes out."""
    good = bytearray(pack({"a.ipynb": b'{"cells": []}' * 20, "data/b.csv": b"1,2\n" * 50}))
    for place, value in changes:
        good[place % len(good)] = value
    for data in (bytes(good), junk, bytes(good[:cut]), junk + bytes(good), bytes(good) + junk):
        archive = tmp_path_factory.getbasetemp() / "fuzz.zip"
        archive.write_bytes(data)
        try:
            inspect(archive, LIMITS)
        except ArchiveRefused as error:
            assert len(str(error)) > 20


@pytest.mark.parametrize(
    "bad",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a\\b",
        "..\\x",
        "x\n.py",
        "x\x00.py",
        "x\x1b[2J",
        "\u202egnp.ipynb",
        "a/" * MAX_DEPTH + "x",
        "x" * 101,
        "é" * 90 + "/" + "x" * 9 + "é" * 40,
    ],
)
def test_names_that_are_refused(tmp_path: Path, bad: str) -> None:
    """With the name shown, printable."""
    # zipfile cuts names at a NUL when it writes: put it in afterwards
    data = raw_zip([(bad.replace("\x00", "\x01"), b"x")]).replace(b"x\x01.py", b"x\x00.py")

    error = refused(tmp_path, data)

    assert str(error).isprintable()


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    """Only plain files."""
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK):
        info = zipfile.ZipInfo("x")
        info.external_attr = (kind | 0o777) << 16
        refused(tmp_path, raw_zip([(info, b"/etc/passwd")]), "link or a device")


@pytest.mark.parametrize(
    "names",
    [
        ["a.ipynb", "a.ipynb"],
        ["a.ipynb", "A.IPYNB"],
        ["é", unicodedata.normalize("NFD", "é")],
        ["straße", "STRASSE"],
        ["a", "a/b"],
        ["a/b", "A"],
        ["x/", "x"],
    ],
)
def test_two_names_for_one_file_are_refused(tmp_path: Path, names: list[str]) -> None:
    """On some file system one would silently replace the other."""
    refused(tmp_path, raw_zip((name, b"") for name in names), "file")


def test_bombs_are_refused_by_their_real_size(tmp_path: Path) -> None:
    """Many bytes from few, in one file or in many, and whatever the table of contents claims."""
    assert isinstance(refused(tmp_path, raw_zip([("zeros", bytes(5_000_000))])), ArchiveTooLarge)
    many = raw_zip((f"z{n}", bytes(300_000)) for n in range(15))
    assert isinstance(refused(tmp_path, many), ArchiveTooLarge)
    lying = raw_zip([("zeros", bytes(5_000_000))]).replace(
        struct.pack("<L", 5_000_000), struct.pack("<L", 10)
    )
    refused(tmp_path, lying)


def test_too_many_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Also when the table of contents is all there is."""
    assert isinstance(refused(tmp_path, raw_zip((f"f{n}", b"") for n in range(21))), ArchiveTooLarge)
    assert isinstance(refused(tmp_path, raw_zip((f"f{n}", b"") for n in range(5000))), ArchiveTooLarge)
    crowd = bytearray(raw_zip((f"f{n}", b"") for n in range(5000)))
    crowd[-14:-10] = struct.pack("<HH", 5, 5)  # the end record says five
    refused(tmp_path, bytes(crowd), "table of contents")


def test_other_forms_of_zip_are_refused(tmp_path: Path) -> None:
    """Comments at the end, zip64, encryption, other ways of packing, not a zip."""
    good = raw_zip([("a", b"x" * 100)])
    refused(tmp_path, good[:-2] + struct.pack("<H", 3) + b"abc", "comment")
    refused(tmp_path, good[:-22] + b"PK\x06\x07" + bytes(16) + good[-22:], "zip64")
    encrypted = good.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    assert encrypted != good
    refused(tmp_path, encrypted, "encrypted")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 100)
    refused(tmp_path, buffer.getvalue(), "packed in a way")
    refused(tmp_path, b"", "not a zip")
    refused(tmp_path, b"x" * 5000, "not a plain zip")
    refused(tmp_path, bytes(2_000_001), "larger than 2 MB")


def test_modes_of_the_archive_do_not_count(tmp_path: Path) -> None:
    """No set-uid file comes out of an archive, and folders are entered by their owner."""
    info = zipfile.ZipInfo("run")
    info.external_attr = (stat.S_IFREG | 0o6777) << 16
    (tmp_path / "a.zip").write_bytes(raw_zip([(info, b"x"), ("sub/", b""), ("sub/file", b"y")]))

    unpack(tmp_path / "a.zip", tmp_path / "out", LIMITS)

    assert stat.S_IMODE((tmp_path / "out/run").stat().st_mode) & ~0o644 == 0
    assert read_member(tmp_path / "a.zip", "sub/file", 10) == b"y"
    with pytest.raises(ArchiveTooLarge):
        read_member(tmp_path / "a.zip", "run", 0)


def test_unpack_does_not_write_over_anything(tmp_path: Path) -> None:
    """The folder must be new."""
    (tmp_path / "a.zip").write_bytes(pack({"a": b"x"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("mine")

    with pytest.raises(ArchiveRefused, match="not empty"):
        unpack(tmp_path / "a.zip", tmp_path / "out", LIMITS)


def test_pack_folder_takes_files_and_leaves_links(tmp_path: Path) -> None:
    """A link in a course folder cannot carry a foreign file into a release."""
    folder = tmp_path / "lab"
    (folder / "data").mkdir(parents=True)
    (folder / "data/a.csv").write_text("1")
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "a.zip").write_bytes(pack_folder(folder))

    assert [entry.path for entry in inspect(tmp_path / "a.zip", LIMITS)] == ["data/a.csv"]


@given(st.text(max_size=300))
def test_a_checked_path_stays_inside(text: str) -> None:
    """And has no part that a file system refuses."""
    try:
        parts = check_path(text, 200)
    except NameRefused as error:
        assert str(error).isprintable()
        return
    assert Path("/a/b", *parts).is_relative_to("/a/b")
    assert ".." not in parts and all(parts) and "/".join(parts) == text


@given(st.one_of(st.text(max_size=70), st.from_regex(r"[a-zA-Z0-9 ._+-]{1,70}", fullmatch=True)))
def test_names_of_people_courses_and_labs(text: str) -> None:
    """What is let through is one safe part of a path and of a URL, and never nbgrader's separator."""
    for check in (check_username, check_course, check_lab):
        try:
            checked = check(text)
        except NameRefused as error:
            assert str(error).isprintable()
            continue
        assert checked == text
        assert check_path(text, 64) == (text,)
        assert not set(text) & set("+/\\%?#&<>\"'`$;|*") and not text.startswith((".", "-", " "))


@pytest.mark.parametrize("lab", ["net-subnetting", "ps1", "Problem 1", "lab_2.b", "a"])
def test_names_that_instructors_use(lab: str) -> None:
    """Ours, and those of nbgrader's own examples."""
    assert check_lab(lab) == lab
