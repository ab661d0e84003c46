"""Images: when one is built anew, what is in it, and who one is inside."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hub import images
from hub.settings import Settings


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small images/ and kit/ instead of the real ones."""
    for file in ("images/base/Dockerfile", "kit/src/ictlab/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("one\n")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setattr(images, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(images, "LAYER", tmp_path / "images" / "layer.sh")
    (tmp_path / "images" / "layer.sh").write_text("one\n")
    monkeypatch.setattr(images, "KIT", tmp_path / "kit")
    return tmp_path


@pytest.mark.parametrize("left", ["kit/.mypy_cache/x", "kit/src/ictlab/__pycache__/y.pyc"])
def test_what_tools_leave_needs_no_new_image(inputs: Path, left: str) -> None:
    before = images.inputs_hash("base")
    (inputs / left).parent.mkdir(parents=True)
    (inputs / left).write_text("left")

    assert images.inputs_hash("base") == before


@pytest.mark.parametrize("changed", ["images/base/Dockerfile", "kit/src/ictlab/__init__.py", "kit/new.py"])
def test_a_change_of_the_image_or_the_kit_needs_a_new_image(inputs: Path, changed: str) -> None:
    before = images.inputs_hash("base")
    (inputs / changed).write_text("two\n")

    assert images.inputs_hash("base") != before


def test_an_image_on_top_of_base_is_old_when_base_is(inputs: Path) -> None:
    (inputs / "images" / "top").mkdir()
    (inputs / "images" / "top" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    before = images.inputs_hash("top")
    (inputs / "images" / "base" / "Dockerfile").write_text("two\n")

    assert images.base_of("top") == "base"
    assert images.base_of("base") is None
    assert images.inputs_hash("top") != before


@pytest.mark.parametrize("changed", ["hub/new.py", "pyproject.toml", "images/base/Dockerfile"])
def test_a_change_of_our_code_needs_a_new_image_of_the_site(inputs: Path, changed: str) -> None:
    for name in images.CHECKOUT:
        made = inputs / name / "one" if "." not in name else inputs / name
        made.parent.mkdir(exist_ok=True)
        made.write_text("one\n")
    (inputs / "images" / "site").mkdir()
    (inputs / "images" / "site" / "Dockerfile").write_text("ARG DEBIAN\n")
    before = images.inputs_hash("site")
    (inputs / changed).write_text("two\n")

    assert images.inputs_hash("site") != before


def pins(lock: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_image_of_the_site_has_what_the_site_needs_in_the_versions_that_are_tested(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["postgresql"]]
    tested = pins(root / "requirements.lock")
    found = pins(root / "images/site/requirements.lock") | pins(root / "images/site/source.lock")

    assert {canonicalize_name(Requirement(each).name) for each in needed} <= {name for name, _ in found}
    assert found <= tested


def test_no_lab_runs_in_the_image_of_the_site() -> None:
    assert "site" in images.buildable()
    assert set(images.buildable()) - set(images.environments()) == {"site"}


def test_what_an_environment_needs_is_a_closed_model(inputs: Path) -> None:
    (inputs / "images" / "base" / "environment.toml").write_text('about = "x"\nnestd = true\n')

    with pytest.raises(images.ImageError, match=r"environment\.toml.*nestd"):
        images.environment_of("base")


def test_an_unknown_environment_lists_those_there_are() -> None:
    with pytest.raises(images.ImageError, match=r"Known: .*base"):
        images.build(Settings(), None, "nosuch", say=print)  # type: ignore[arg-type]


DEB822 = """# made by hand
Types: deb
# http://old.example/debian
URIs: http://mirror.example/debian
Suites: {suites}
Components: main contrib
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.sources", DEB822.format(suites="bookworm bookworm-updates"), "http://mirror.example/debian"),
        ("a.sources", DEB822.format(suites="bookworm-security"), None),
        ("a.sources", DEB822.format(suites="noble"), None),
        ("a.list", "deb [arch=amd64] https://m.example/debian bookworm main\n", "https://m.example/debian"),
        ("a.list", "# deb http://m.example/debian bookworm main\n", None),
        ("a.list", "deb https://tools.example/apt tools-bookworm main\n", None),
        ("a.list", "deb file:/media/cdrom bookworm main\n", None),
    ],
)
def test_the_mirror_is_the_machines_own_where_it_has_our_debian(
    tmp_path: Path, name: str, text: str, expected: str | None
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)

    assert images.host_mirror(tmp_path) == expected


def run(engine: docker.DockerClient, image: str, command: str, **options: object) -> str:
    options = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "network_mode": "none", **options}
    return str(engine.containers.run(image, ["sh", "-c", command], remove=True, **options).decode())


@pytest.mark.docker
def test_the_image_is_for_one_unprivileged_user(docker_engine: docker.DockerClient, base_image: str) -> None:
    assert run(docker_engine, base_image, "id -u; whoami").split() == ["1000", "student"]
    assert run(docker_engine, base_image, "find / -xdev -perm /6000 -type f 2>/dev/null; true") == ""


@pytest.mark.docker
def test_ping_starts_without_any_capability(docker_engine: docker.DockerClient, base_image: str) -> None:
    assert "1 received" in run(docker_engine, base_image, "ping -c 1 127.0.0.1")


@pytest.mark.docker
def test_another_uid_is_still_called_student(
    docker_engine: docker.DockerClient, base_image: str, tmp_path: Path
) -> None:
    files = images.name_files(docker_engine, base_image, 4321, 4322, tmp_path)
    again = images.name_files(docker_engine, base_image, 4321, 4322, tmp_path)
    mounts = {str(file): {"bind": inside, "mode": "ro"} for inside, file in files.items()}

    seen = run(
        docker_engine, base_image, "id -un; id -gn; getent passwd root", user="4321:4322", volumes=mounts
    )

    assert seen.split()[:2] == ["student", "student"]
    assert "root:x:0:0" in seen
    assert again == files
    assert images.name_files(docker_engine, base_image, 1000, 1000, tmp_path) == {}


SMOKE = {  # what each environment is for, tried by who uses it
    "network": "qemu-system-x86_64 --version && nft --version && dnsmasq --version && tshark --version && "
    "/usr/sbin/hostapd -v 2>&1 | grep hostapd && test -s /usr/lib/ictlab-machine/vmlinuz",
    "data": "postgres --version && redis-server --version && nginx -v && haproxy -v && prometheus --version && "
    "{ mosquitto -h || true; } && openssl version && python3 -c 'import psycopg, duckdb, redis, paho.mqtt, flask'",
    "ai": "python3 -c 'import numpy, scipy, pandas, matplotlib.pyplot, sklearn, onnxruntime, skl2onnx'",
}


@pytest.mark.docker
@pytest.mark.parametrize("environment", SMOKE)
def test_an_environment_has_what_it_is_for(
    docker_engine: docker.DockerClient, missing: Callable[[str, str], None], environment: str
) -> None:
    name = images.image_name(Settings(), environment)
    try:
        docker_engine.images.get(name)
    except docker.errors.ImageNotFound:
        missing(f"no image {name}", f"`ict images build {environment}` builds it")
    command = (
        f"PATH=$PATH:/usr/sbin; {{ {SMOKE[environment]}; }} >/tmp/said 2>&1 || {{ cat /tmp/said; exit 1; }}"
    )

    said = run(docker_engine, name, f"{command}; whoami; find / -xdev -perm /6000 -type f 2>/dev/null; true")

    assert said.split() == ["student"]


def wheels(folder: Path, *names: str) -> Path:
    """A folder with files that are called as wheels are."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("")
    return folder


def test_a_wheelhouse_adds_the_newest_of_what_is_optional(inputs: Path, tmp_path: Path) -> None:
    (inputs / "images" / "base" / "optional.in").write_text("# reasons\ntorch>=2.5  # why\nmissing>=1\n")
    house = wheels(
        tmp_path / "house",
        "torch-2.4.0-cp311-cp311-linux_x86_64.whl",
        "torch-2.6.0+cpu-cp311-cp311-linux_x86_64.whl",
        "torch-2.5.1-cp311-cp311-linux_x86_64.whl",
        "numpy-2.0.0-cp311-cp311-linux_x86_64.whl",
    )
    said: list[str] = []

    assert images._extras("base", house, said.append) == {"torch": "2.6.0+cpu"}
    assert said == [f"{house} has no missing>=1: left out"]


def test_a_wheelhouse_with_a_misnamed_file_is_a_sentence(inputs: Path, tmp_path: Path) -> None:
    (inputs / "images" / "base" / "optional.in").write_text("torch>=2.5\n")

    with pytest.raises(images.ImageError, match=r"torch\.whl.*Rename it"):
        images._extras("base", wheels(tmp_path / "house", "torch.whl"), print)
