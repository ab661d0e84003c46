"""Reads and writes nbgrader's course folder, whose owner may be hostile: no link in it is ever followed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from grader.ownership import give, site_gid, site_uid
from grader.settings import Places

STEPS = ("source", "release", "submitted", "autograded", "feedback")
CONFIG = '''"""Settings of this course for nbgrader's own tools. The site never runs this file."""
import os
from pathlib import Path

c = get_config()
c.CourseDirectory.course_id = {course!r}
c.Exchange.path_includes_course = True

# On the server `nbgrader autograde` runs what students handed in inside the walls: see docs/operator.md.
_kernels = Path(__file__).resolve().parents[2] / "jupyter"
if _kernels.is_dir():
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(_kernels), os.environ.get("JUPYTER_PATH")]))
    c.Execute.kernel_name = "ictlabs-sandbox"
'''


def create_course_folder(places: Places, course: str) -> Path:
    """Make the course folder with nbgrader's sub-folders and its configuration; safe to call again."""
    root = places.course(course)
    fresh = not root.exists()
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    _lay_kernelspec(places)
    if fresh:
        for step in STEPS:
            (root / step).mkdir()
        (root / "nbgrader_config.py").write_text(CONFIG.format(course=course), encoding="utf-8")
        give(root)
    return root


def _lay_kernelspec(places: Places) -> None:
    """Offer nbgrader's own tools on this server a kernel inside the walls (grader.sandbox.provisioner)."""
    folder = places.data / "jupyter" / "kernels" / "ictlabs-sandbox"
    if (folder / "kernel.json").exists():
        return
    spec = {
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python inside the walls",
        "language": "python",
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": "ictlabs-sandbox",
                "config": {"image": f"ictlabs/base:{version('ictlabs')}"},
            }
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")


def replace_folder(root: Path, relative: str, files: Mapping[str, bytes]) -> None:
    """Put `files` (path -> bytes) at root/relative instead of whatever is there, all or nothing.

    Only one process at a time may do this in a course: what a killed one left is swept first.
    """
    *parents, name = relative.split("/")
    with _opened(root, parents) as parent:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in entries]
        for left in names:
            if left.startswith((".new-", ".old-")):
                _remove(parent, left)
        new, old = f".new-{secrets.token_hex(6)}", f".old-{secrets.token_hex(6)}"
        os.mkdir(new, 0o755, dir_fd=parent)
        try:
            with _folder(parent, new) as made:
                _give(made)
                for path, content in files.items():
                    _write(made, path, content)
            with contextlib.suppress(FileNotFoundError):
                os.rename(name, old, src_dir_fd=parent, dst_dir_fd=parent)
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            for left in (new, old):
                _remove(parent, left)


def _write(folder: int, path: str, content: bytes) -> None:
    *parents, name = path.split("/")
    with contextlib.ExitStack() as stack:
        for part in parents:
            folder = stack.enter_context(_made(folder, part))
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            _give(file.fileno())
            file.write(content)


def _remove(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=parent)
    except FileNotFoundError:
        pass


@contextlib.contextmanager
def _opened(root: Path, parts: list[str]) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        stack.callback(os.close, fd)
        for part in parts:
            fd = stack.enter_context(_made(fd, part))
        yield fd


@contextlib.contextmanager
def _made(parent: int, name: str) -> Iterator[int]:
    """Open a folder, made if it is missing."""
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"{name!r} is no name of a folder")
    fresh = True
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        fresh = False
    with _folder(parent, name) as fd:
        if fresh:
            _give(fd)
        yield fd


@contextlib.contextmanager
def _folder(parent: int, name: str) -> Iterator[int]:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _give(fd: int) -> None:
    """Make an open file or folder the site user's."""
    if os.geteuid() == 0:
        os.fchown(fd, site_uid(), site_gid())
