"""Imports go one way: hub -> grader -> labs, and the student's side stands alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [lint_imports, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_no_package_imports_one_above_it(root: Path) -> None:
    result = lint(root)

    assert result.returncode == 0, result.stdout


def test_the_rule_would_notice_a_grader_that_imports_the_hub(root: Path, tmp_path: Path) -> None:
    for package in ("hub", "grader", "labs", "ictlab"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for module in ("hub/portal", "hub/democlass", "grader/exchange", "grader/classapi", "grader/past"):
        (tmp_path / f"{module}.py").touch()  # a contract names them
    (tmp_path / "grader" / "wrong.py").write_text("import hub\n")
    (tmp_path / "pyproject.toml").write_bytes((root / "pyproject.toml").read_bytes())

    # PYTHONPATH comes before the editable install's .pth
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint_imports, "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode != 0
    assert "hub imports grader imports labs BROKEN" in result.stdout
