"""Finds labs: a folder with a lab.toml, or with nbgrader notebooks, is one lab; nothing is registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from labs.model import Lab, LabError, assignment_notebooks

CATALOG = Path(__file__).resolve().parent / "catalog"


class Library:
    """The labs of some folders, each folder holding lab folders; the catalog is always the first."""

    def __init__(self, folders: Iterable[Path] = (), *, catalog: Path | None = CATALOG) -> None:
        self.folders = [*([catalog] if catalog else []), *folders]

    def labs(self) -> dict[str, Lab]:
        """Read every lab that is in order, by name. What is not in order is in `problems`."""
        return self._read()[0]

    def problems(self) -> dict[Path, str]:
        """Say of every lab folder that cannot be used why."""
        return self._read()[1]

    def lab(self, name: str) -> Lab:
        """Read one lab. Raises LabError that says what is wrong with it, or which labs there are."""
        for folder in self.folders:
            if name and Path(name).name == name and _is_lab(folder / name):
                return Lab.load(folder / name)
        known = sorted(path.name for folder in self.folders for path in _lab_folders(folder))
        raise LabError(
            f"no lab {name!r}. There are: {', '.join(known) or 'none'}. `ict labs new {name}` starts one."
        )

    def _read(self) -> tuple[dict[str, Lab], dict[Path, str]]:
        labs: dict[str, Lab] = {}
        problems: dict[Path, str] = {}
        for folder in self.folders:
            if not folder.is_dir():
                problems[folder] = f"{folder}: no such folder. Make it, or take it out of [labs] folders."
                continue
            for path in _lab_folders(folder):
                try:
                    lab = Lab.load(path)
                except LabError as error:
                    problems[path] = str(error)
                    continue
                if lab.name in labs:
                    problems[path] = (
                        f"{path}: {labs[lab.name].folder} has this name already. Rename one of the two."
                    )
                else:
                    labs[lab.name] = lab
        return labs, problems


def _lab_folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if _is_lab(path)]


def _is_lab(path: Path) -> bool:
    if path.name.startswith((".", "_")) or not path.is_dir():
        return False
    return (path / "lab.toml").is_file() or bool(assignment_notebooks(path))


def by_track(labs: Mapping[str, Lab]) -> list[Lab]:
    """Sort labs as a reader wants them: by track, level, name."""
    return sorted(labs.values(), key=lambda lab: (lab.track, lab.level, lab.name))
