"""What every test may ask for: a Docker Engine, the base image, Chromium; skipped on a desk, a failure in CI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import docker
import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICE = ROOT / "tests" / "exchange_service.py"


def _missing(what: str, remedy: str) -> None:
    """Skip on a desk; fail where the run promised to have every part."""
    message = f"{what}. {remedy}"
    if os.environ.get("CI") or os.environ.get("ICTLABS_TEST_ALL"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def the_same_process() -> Iterator[None]:
    """Put back what nbgrader's apps and tests change for the whole process.

    Each run of an app puts a folder in front of sys.path: after a thousand of them no process that is told the path by its
    arguments can be started. Each run in a test puts a copy in the place of os.environ: what is set there reaches no child.
    """
    path, environment = list(sys.path), os.environ
    yield
    sys.path[:] = path
    os.environ = environment  # noqa: B003 (the very object)


@pytest.fixture(scope="session")
def missing() -> Callable[[str, str], None]:
    """`missing(what, remedy)`: skip the test, or fail it where nothing may be skipped."""
    return _missing


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def docker_engine() -> docker.DockerClient:
    """A client of the Docker Engine that answers here."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except docker.errors.DockerException as error:
        _missing(f"no Docker Engine answers ({error})", "`sudo make docker` starts one")
    return client


@pytest.fixture(scope="session")
def base_image(docker_engine: docker.DockerClient) -> str:
    """The name of the base environment's image, built already."""
    from hub.images import image_name  # hub is under test elsewhere: import it only where it is used
    from hub.settings import Settings

    name = image_name(Settings(), "base")
    try:
        docker_engine.images.get(name)
    except docker.errors.ImageNotFound:
        _missing(f"no image {name}", "`ict images build base` builds it")
    return name


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    _missing("no Chromium on PATH", "apt-get install chromium")
    raise AssertionError  # _missing never returns


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Find a TCP port that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which commit was tested: a log without it proves little."""
    git = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    terminalreporter.write_line(f"commit {git.stdout.strip() or 'unknown'}")


@pytest.fixture(scope="session")
def exchange_service() -> ModuleType:
    """tests/exchange_service.py: a real exchange in a process of its own."""
    spec = importlib.util.spec_from_file_location("exchange_service", SERVICE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
