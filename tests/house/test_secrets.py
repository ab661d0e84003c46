"""No secret is in the tree or in an image."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import docker
import pytest

SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n"  # keys
    rb"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abpr]-[A-Za-z0-9-]{20,}"  # tokens with a known form
    rb"|https?://[^/\s:@\"'{}<>$]+:[^/\s:@\"'{}<>$]+@"  # a password in an address
)


def test_the_pattern_finds_what_it_is_for() -> None:
    assert SECRETS.search(b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMII")
    assert SECRETS.search(b"postgresql+x = https://me:" + b"secret@db/")


def test_no_tracked_file_holds_a_secret(root: Path) -> None:
    names = subprocess.run(
        ["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True
    ).stdout.split(b"\0")

    found = [
        name.decode()
        for name in names
        if name and (root / name.decode()).is_file() and SECRETS.search((root / name.decode()).read_bytes())
    ]

    assert not found


def test_the_data_of_a_site_is_never_tracked(root: Path) -> None:
    names = subprocess.run(
        ["git", "-C", root, "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert not [
        n
        for n in names
        if n.startswith("var/") or n.endswith((".sqlite", ".db", "cookie_secret", ".pem", ".key"))
    ]


@pytest.mark.docker
def test_the_base_image_holds_no_key_no_answer_and_no_trace_of_its_build(
    docker_engine: docker.DockerClient, base_image: str, root: Path
) -> None:
    """Look at every file of every layer, and at the history of how they were made."""
    answers = _long_solution_lines(root)
    assert answers, "no solution lines found to look for"
    wrong: list[str] = []

    with io.BytesIO() as buffer:
        for chunk in docker_engine.images.get(base_image).save():
            buffer.write(chunk)
        buffer.seek(0)
        with tarfile.open(fileobj=buffer) as image:
            manifest = json.load(image.extractfile("manifest.json"))[0]
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=image.extractfile(layer)) as files:
                    wrong += _wrong_files(files, answers)
    history = json.dumps(docker_engine.images.get(base_image).history())

    assert not wrong
    assert "PIP_CERT" not in history
    assert "ca-certificates.crt" not in history


def _long_solution_lines(root: Path) -> set[bytes]:
    """Lines of 30 characters or more that stand only in solutions and hidden tests."""
    lines: set[bytes] = set()
    for lab in (root / "labs" / "catalog").glob("*/lab.md"):
        text = lab.read_bytes()
        for part in re.findall(rb"### BEGIN (?:SOLUTION|HIDDEN TESTS)(.*?)### END", text, re.S):
            lines |= {line.strip() for line in part.splitlines() if len(line.strip()) >= 30}
    return lines


def _wrong_files(files: tarfile.TarFile, answers: set[bytes]) -> list[str]:
    wrong = []
    for member in files:
        name = member.name.removeprefix("./")
        if name in {"etc/pip.conf", "root/.config/pip/pip.conf", "home/student/.config/pip/pip.conf"}:
            wrong.append(f"{name}: pip's settings of the build")
        if not member.isfile() or member.size > 2_000_000:
            continue
        if name.startswith(("usr/share/doc", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl")):
            continue
        stream = files.extractfile(member)
        content = stream.read() if stream else b""
        # one line in common with the world's Python is chance, two are a copy
        if (
            name.endswith((".py", ".md", ".ipynb", ".json", ".toml"))
            and sum(a in content for a in answers) >= 2
        ):
            wrong.append(f"{name}: part of a solution")
        if "site-packages" not in name and re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n", content):
            wrong.append(f"{name}: a private key")
    return wrong
