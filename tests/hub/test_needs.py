"""What labs need is tried in each environment's walls and said in a sentence."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from hub.images import environments, image_name
from hub.needs import look, offers, sentence
from hub.settings import Settings
from labs.library import Library


@pytest.mark.docker
def test_each_environment_is_tried_in_its_container_once(
    tmp_path: Path, docker_engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(root=tmp_path)
    for environment in environments():
        docker_engine.images.get(image_name(settings, environment))

    found = look(settings, "docker")

    assert set(found) == set(environments())
    assert found["network"]["netns"] == found["network"]["nat"] == "yes"
    assert found["network"]["vlan"] in ("yes", "emulated")
    assert found["base"]["acl"] == "yes"
    assert found["base"]["netns"] == "no"  # its servers may make no namespaces
    assert found["ai"]["pytorch"] in ("yes", "no")
    monkeypatch.setattr("hub.needs._in_container", None)  # kept: no container is started for it again
    assert look(settings, "docker") == found == offers(settings)


def test_every_need_of_the_catalog_is_a_feature_that_can_be_tried(tmp_path: Path) -> None:
    found = look(Settings(root=tmp_path), "process")

    needed = {need for lab in Library().labs().values() for need in lab.needs}
    assert needed <= set(found["base"])


def test_a_sentence_tells_what_is_slower_from_what_does_not_work() -> None:
    vlans, permissions = Library().lab("net-vlans"), Library().lab("linux-permissions")
    features = {"netns": "yes", "veth": "yes", "vlan": "emulated", "vlan-bridge": "yes"}

    assert sentence(vlans, {}) == ""
    assert "lacks vlan, so" in sentence(vlans, {"network": features})
    assert "needs vlan-bridge, which" in sentence(vlans, {"network": features | {"vlan-bridge": "no"}})
    assert sentence(permissions, {"base": {"acl": "yes"}}) == ""
    assert "needs acl, which" in sentence(permissions, {"base": {"acl": "no"}})
