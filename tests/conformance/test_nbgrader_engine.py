"""nbgrader's own tests of autograde, feedback and the database, from the installed wheel, with our engine behind them.

`TestEngine`: every test of `nbgrader autograde`, cells run by our engine. `TestFeedbackOfEngine`: feedback of what it ran.
`TestProvisioner`: those that are about running code, by nbgrader's Execute with our kernel provisioner.
not_applicable.toml lists those that cannot hold.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nbgrader.tests.apps.base import BaseTestApp
from nbgrader.tests.apps.test_nbgrader_autograde import TestNbGraderAutograde as _Autograde
from nbgrader.tests.apps.test_nbgrader_db import TestNbGraderDb  # noqa: F401 (pytest collects it)
from nbgrader.tests.apps.test_nbgrader_generate_feedback import TestNbGraderFeedback as _Feedback

from grader.engine.nbgrader_steps import SandboxExecute
from grader.sandbox import unavailable
from grader.sandbox.provisioner import SandboxProvisioner

ENGINE = """
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from grader.engine.nbgrader_steps import SandboxExecute
c.Autograde.autograde_preprocessors = [
    SandboxExecute if step is Execute else step for step in Autograde.autograde_preprocessors.default_args[0]
]
"""
KERNELSPEC = {
    "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python in the walls",
    "language": "python",
    "metadata": {
        "kernel_provisioner": {"provisioner_name": "ictlabs-sandbox", "config": {"backend": "process"}}
    },
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """nbgrader calls `alembic` by name, and its tests ask who they are."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("USER", "me")


@pytest.fixture
def configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: Callable[[str, str], None]
) -> Callable[[str], None]:
    """Put settings where nbgrader looks whatever a test's own folder says."""
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")

    def configure(text: str) -> None:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "nbgrader_config.py").write_text(f"c = get_config()\n{text}")
        monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(folder))

    return configure


class TestEngine(_Autograde):
    """`nbgrader autograde` with our engine in place of its Execute."""

    @pytest.fixture(autouse=True)
    def engine(self, configured: Callable[[str], None]) -> None:
        configured(ENGINE)

    def test_it_was_our_engine_that_ran(self) -> None:
        assert SandboxExecute.runs > 20


class TestFeedbackOfEngine(_Feedback):
    """`nbgrader generate_feedback` on what our engine ran."""

    @pytest.fixture(autouse=True)
    def engine(self, configured: Callable[[str], None]) -> Iterator[None]:
        configured(ENGINE)
        yield

    def test_it_was_our_engine_that_ran(self) -> None:
        assert SandboxExecute.runs > 10


class TestProvisioner(BaseTestApp):
    """`nbgrader autograde` as it is, with kernels from our provisioner."""

    test_grade = _Autograde.test_grade
    test_grade_timestamp = _Autograde.test_grade_timestamp
    test_grade_autotest = _Autograde.test_grade_autotest
    test_showtraceback_exploit = _Autograde.test_showtraceback_exploit

    @pytest.fixture(autouse=True)
    def provisioner(
        self, configured: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        folder = tmp_path / "jupyter" / "kernels" / "ictlabs-sandbox"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(KERNELSPEC))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        configured("c.Execute.kernel_name = 'ictlabs-sandbox'\n")
        started: list[int] = []
        launch = SandboxProvisioner.launch_kernel

        async def counted(provisioner: SandboxProvisioner, *args: object, **kwargs: object) -> object:
            started.append(1)
            return await launch(provisioner, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(SandboxProvisioner, "launch_kernel", counted)
        yield
        assert started, "no kernel came from the provisioner"
