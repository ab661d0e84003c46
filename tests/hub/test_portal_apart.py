"""A portal that the hub does not start (`hub.portal_apart`). tests/e2e/test_compose.py has one at work."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.commands import portal
from hub.settings import HubSettings, Settings
from hub.site import plan_site
from hub.supervise import seen


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a site on free ports."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = min(found.getsockname()[1], 65_000)
    return Settings(root=tmp_path, hub=HubSettings(spawner="process", port=port, portal_apart=True))


def test_its_port_stays_when_the_site_starts_again_beside_it(settings: Settings) -> None:
    before = plan_site(settings, keep_servers=True)

    with socket.create_server((before.inner_ip, before.portal_port)):
        again = plan_site(settings, keep_servers=True)

    assert again == before


def test_status_asks_for_no_process_of_it(settings: Settings) -> None:
    assert [part.name for part in seen(settings)] == ["traefik", "hub", "grading"]


def test_a_hub_that_starts_its_portal_itself_is_not_helped_by_another(tmp_path: Path) -> None:
    result = CliRunner().invoke(portal.command, obj=Settings(root=tmp_path))

    assert result.exit_code == 1
    assert "portal_apart = true" in result.output
