"""Every setting is explained in ictlabs.example.toml, with its default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from hub.settings import Settings, load_settings


def keys(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str, object, str]]:
    """Every setting as (table, key, default, description)."""
    for name, info in model.model_fields.items():
        if not table and name == "root":
            continue  # not a key of the file
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from keys(info.annotation, f"{table}.{name}".lstrip("."))
        else:
            yield table, name, info.default, info.description or ""


def test_every_setting_says_what_it_is() -> None:
    silent = [f"{table}.{name}" for table, name, _, description in keys(Settings) if len(description) < 15]

    assert not silent


def test_the_example_has_every_setting_with_its_default_and_explanation(root: Path) -> None:
    text = (root / "ictlabs.example.toml").read_text()
    # every value is commented out: uncommented, the file must say what the code says
    example = tomllib.loads(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))

    for table, name, default, description in keys(Settings):
        section = example
        for part in table.split("."):
            section = section[part]
        shown = section[name]
        if default is not None:
            assert shown == (
                list(default)
                if isinstance(default, tuple)
                else type(shown)(str(default))
                if isinstance(default, Path)
                else default
            ), f"{table}.{name}"
        assert description in text, f"{table}.{name}: its explanation differs"


def test_the_example_is_a_valid_settings_file(root: Path) -> None:
    settings = load_settings(root / "ictlabs.example.toml")

    assert settings.hub.port == Settings().hub.port


def test_the_graders_files_are_named_from_the_settings_file(tmp_path: Path) -> None:
    """Whatever folder a command is called in."""
    (tmp_path / "ictlabs.toml").write_text('[grader]\ntls_ca = "keys/ca.pem"\ntls_key = "/etc/key.pem"\n')

    grader = load_settings(tmp_path / "ictlabs.toml").grader

    assert (grader.tls_ca, grader.tls_cert, grader.tls_key) == (
        str(tmp_path / "keys" / "ca.pem"),
        "",
        "/etc/key.pem",
    )
