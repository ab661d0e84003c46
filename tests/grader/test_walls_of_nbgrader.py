"""nbgrader's own command in a course folder on the server: what students handed in runs inside the walls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

PEEK = (
    "import os\n"
    "print('SEES', os.path.exists({course!r}), os.getcwd(), os.getuid() == 0)\n"
    "def add(a, b):\n    return a + b"
)


@pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_nbgrader_autograde_on_the_server_has_the_walls(
    course: Any, backend: str, request: pytest.FixtureRequest
) -> None:
    if backend == "docker":
        request.getfixturevalue("base_image")
    folder: Path = course.places.course("ict101")
    spec = course.places.data / "jupyter/kernels/ictlabs-sandbox/kernel.json"
    spec.write_text(spec.read_text().replace('"config": {', f'"config": {{"backend": "{backend}", '))
    submitted = folder / "submitted/alice/sums"
    submitted.mkdir(parents=True)
    import json

    notebook = course.notebook(add=PEEK.format(course=str(folder)))
    (submitted / "sums.ipynb").write_text(json.dumps(notebook))

    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", "sums", "--create"], cwd=folder, check=False,
        capture_output=True, text=True, timeout=120,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(course.folder), "USER": "op",
             **{name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    ran = (folder / "autograded/alice/sums/sums.ipynb").read_text()
    assert "SEES False /home/student/work False" in ran
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert gradebook.find_grade("check-add", "sums", "sums", "alice").auto_score == 2
