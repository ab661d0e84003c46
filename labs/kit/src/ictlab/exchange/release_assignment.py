"""`nbgrader release_assignment`: an instructor's own assignment to the students."""

from __future__ import annotations

from pathlib import Path

from nbgrader.exchange.abc import ExchangeReleaseAssignment as ABCExchangeReleaseAssignment

from ictlab.exchange.base import Exchange
from ictlab.exchange.files import pack_folder


class ExchangeReleaseAssignment(Exchange, ABCExchangeReleaseAssignment):
    """Releases the student version of an assignment."""

    def init_src(self) -> None:
        """Find the student version."""
        lab = self.coursedir.assignment_id
        self.src_path = Path(self.coursedir.format_path(self.coursedir.release_directory, ".", lab))
        if self.src_path.is_dir():
            return
        source = self.coursedir.format_path(self.coursedir.source_directory, ".", lab)
        if Path(source).is_dir():
            self.fail(
                f"Assignment found in '{source}' but not '{self.src_path}', "
                "run `nbgrader generate_assignment` first."
            )
        self.not_found(str(self.src_path), [str(path) for path in self.src_path.parent.glob("*")])

    def init_dest(self) -> None:
        """Check that there is a course."""
        self.log.debug("Course: %s", self.course)

    def copy_files(self) -> None:
        """Send it."""
        course, lab = self.course, self.coursedir.assignment_id
        self.check_size(self.src_path)
        archive = pack_folder(self.src_path, self.ignoring())
        self.log.info("Source: %s", self.src_path)
        self.ask(lambda service: service.release(course, lab, archive, force=self.force))
        self.log.info("Released as: %s %s", course, lab)
