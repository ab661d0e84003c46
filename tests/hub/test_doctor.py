"""`ict doctor` says what the machine has, which mode that allows, and what to do about what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.commands.doctor import command
from hub.doctor import choose_mode, examine
from hub.settings import HubSettings, Settings

ENGINE = {"available": True, "version": "20.10", "endpoint": "unix:///x", "error": None}
NO_ENGINE = {"available": False, "version": None, "endpoint": "unix:///x", "error": "no such file"}
JAILS = {"available": True, "error": None, "max": 1000}
NO_JAILS = {"available": False, "error": "Operation not permitted", "max": 0}


def test_json_has_the_keys_that_scripts_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--json"], obj=Settings(root=tmp_path))

    found = json.loads(result.output)
    assert result.exit_code == 0
    assert {"mode", "docker", "userns", "problems", "overlay", "chromium", "disk_free_gb"} <= found.keys()
    assert all(p["what"] and p["remedy"] for p in found["problems"])


def test_text_names_a_remedy_for_each_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")

    result = CliRunner().invoke(command, [], obj=Settings(root=tmp_path))

    assert "no Docker Engine" in result.output
    assert "sudo make docker" in result.output


@pytest.mark.parametrize(
    ("spawner", "engine", "userns", "mode"),
    [
        ("auto", ENGINE, JAILS, "docker"),
        ("auto", NO_ENGINE, JAILS, "process"),
        ("auto", NO_ENGINE, NO_JAILS, "process-unjailed"),
        ("process", ENGINE, JAILS, "process"),
        ("docker", NO_ENGINE, JAILS, "docker"),
    ],
)
def test_the_mode_follows_from_settings_and_machine(
    spawner: str, engine: dict[str, object], userns: dict[str, object], mode: str
) -> None:
    settings = Settings(hub=HubSettings.model_validate({"spawner": spawner}))

    chosen, why = choose_mode(settings, engine, userns)

    assert chosen == mode
    assert why


def test_examining_changes_nothing(tmp_path: Path) -> None:
    examine(Settings(root=tmp_path))

    assert list(tmp_path.iterdir()) == []
