"""Our engine as a step of nbgrader's own converter: for `nbgrader autograde` and for its tests, which judge the engine.

    c.Autograde.autograde_preprocessors = [
        "grader.engine.nbgrader_steps.SandboxExecute", "nbgrader.preprocessors.IgnorePattern", ...]

in place of nbgrader's Execute, whose settings it takes.
"""

from __future__ import annotations

import atexit
import functools
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import Execute

from grader.engine.canaries import Canaries
from grader.engine.execute import execute
from grader.engine.grade import ENVIRONMENT
from grader.engine.report import settle
from grader.sandbox import open_sandbox
from grader.sandbox.base import Limits
from grader.sandbox.kernels import Kernels
from grader.settings import SandboxSettings


@functools.cache
def _kernels(settings: SandboxSettings) -> Kernels:
    sandbox = open_sandbox("process", settings)
    kernels = sandbox.kernels(Limits.of(settings))
    atexit.register(sandbox.close)
    atexit.register(kernels.close)
    return kernels


class SandboxExecute(Execute):
    """Runs a notebook in a forked kernel inside the walls. What it writes stays inside."""

    runs = 0  # notebooks of this process

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Run all cells; the folder of the notebook is copied inside, but for the notebooks."""
        SandboxExecute.runs += 1
        settings = SandboxSettings(
            backend="process", cell_timeout_s=self.timeout or 30, total_timeout_s=10 * (self.timeout or 30)
        )
        folder = Path(resources.get("metadata", {}).get("path") or ".")
        files = {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file() and not file.is_symlink() and file.suffix != ".ipynb"
        }
        checks = sum(utils.is_grade(cell) and not utils.is_solution(cell) for cell in nb.cells)
        done = execute(nb, lambda: _kernels(settings).start(files, ENVIRONMENT), settings, Canaries(checks))
        settle(nb)
        for sentence in (done.end, *done.evidence):
            if sentence:
                self.log.warning(sentence)
        return nb, resources
