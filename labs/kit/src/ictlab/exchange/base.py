"""What all verbs of the exchange share: nbgrader's options, the service, names of moments."""

from __future__ import annotations

import difflib
import fnmatch
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from dateutil.tz import gettz
from jupyter_core.paths import jupyter_data_dir
from nbgrader.exchange.abc import Exchange as ABCExchange
from nbgrader.utils import ignore_patterns
from traitlets import Bool, Unicode, default

from ictlab.exchange.client import Service, ServiceError, forget
from ictlab.exchange.files import Ignore

Answer = TypeVar("Answer")

# Beside a collected submission and in the cache: which submission it is. Feedback finds its way back by it.
ID_FILE = "submission_id.txt"
RECEIPT_FILE = "receipt.txt"
TIMESTAMP_FILE = "timestamp.txt"  # nbgrader's own name


class Exchange(ABCExchange):
    """nbgrader's exchange over HTTP. Has the options of the shared folder's, so that configurations stay valid."""

    may_be_remembered = False

    root = Unicode("", help="Not used: the exchange is a service.").tag(config=True)
    cache = Unicode(
        "", help="Local copies of what was handed in. Defaults to $JUPYTER_DATA_DIR/nbgrader_cache"
    ).tag(config=True)
    path_includes_course = Bool(False, help="Whether a lab's folder is <course>/<lab> instead of <lab>.").tag(
        config=True
    )

    @default("cache")
    def _cache_default(self) -> str:
        return str(Path(jupyter_data_dir()) / "nbgrader_cache")

    def ask(self, question: Callable[[Service], Answer]) -> Answer:
        """Ask the service; what it refuses is nbgrader's ExchangeError with its sentence."""
        try:
            return question(Service.from_environment())
        except ServiceError as error:
            self.fail(str(error))
            raise  # fail() always raises; this is for type checkers

    def start(self) -> Any:
        """Do it, on what the service says now: only lists may be a few seconds old."""
        if not self.may_be_remembered:
            forget()
        return super().start()

    def init_src(self) -> None:
        """Nothing to prepare."""

    def init_dest(self) -> None:
        """Nothing to prepare."""

    @property
    def course(self) -> str:
        """The course id; fails without one."""
        course: str = self.coursedir.course_id
        if not course:
            self.fail("No course id specified. Re-run with --course flag.")
        return course

    def lab_folder(self, course: str, lab: str) -> Path:
        """Where a lab lies in this home."""
        return (
            Path(self.assignment_dir, course, lab)
            if self.path_includes_course
            else Path(self.assignment_dir, lab)
        )

    def check_student(self) -> None:
        """Refuse to act for somebody else: the service takes the identity from the token, never from an option."""
        student = self.coursedir.student_id
        if student not in ("", "*", os.environ.get("JUPYTERHUB_USER")):
            self.fail(f"You cannot act as {student}: the exchange knows who you are. Leave --student out.")

    def moment(self, text: str) -> datetime:
        """A moment of the service, in the configured time zone."""
        zone = gettz(self.timezone)
        if zone is None:
            self.fail(f"Invalid timezone: {self.timezone}")
        return datetime.fromisoformat(text).astimezone(zone)

    def timestamp_of(self, row: dict[str, Any]) -> str:
        """When a submission was received, as nbgrader writes it."""
        return self.moment(row["received_at"]).strftime(self.timestamp_format)

    def ignoring(self, *, sizes: bool = True) -> Ignore:
        """nbgrader's options on which files are left out; with `sizes` also the patterns to include and the size."""
        found: Ignore = ignore_patterns(
            exclude=self.coursedir.ignore,
            include=self.coursedir.include if sizes else None,
            max_file_size=self.coursedir.max_file_size if sizes else None,
            log=self.log,
        )
        return found

    def check_size(self, folder: Path) -> None:
        """Raise RuntimeError, as nbgrader does, when a folder is over `CourseDirectory.max_dir_size` (in kB)."""
        size = sum(
            path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
        )
        limit = 1000 * self.coursedir.max_dir_size
        if size > limit:
            self.log.error("Directory size is too big")
            raise RuntimeError(f"Directory size is too big. Size is {size}, maximum size is {limit}")

    def not_found(self, path: str, others: list[str]) -> None:
        """Fail, and suggest the nearest name there is."""
        near = difflib.get_close_matches(path, others, n=1, cutoff=0.0)
        if near:
            self.log.error("Did you mean: %s", near[0])
        self.fail(f"Assignment not found at: {path}")


def matches(name: str, pattern: str) -> bool:
    """Whether nbgrader's pattern (empty: anything) means this name."""
    return not pattern or fnmatch.fnmatchcase(name, pattern)
