"""`nbgrader release_feedback`: generated feedback to each student."""

from __future__ import annotations

import re
from pathlib import Path

from nbgrader.exchange.abc import ExchangeReleaseFeedback as ABCExchangeReleaseFeedback

from ictlab.exchange.base import ID_FILE, Exchange
from ictlab.exchange.client import Service, ServiceError
from ictlab.exchange.files import pack_folder


class ExchangeReleaseFeedback(Exchange, ABCExchangeReleaseFeedback):
    """Releases the feedback of one assignment. A student whose feedback cannot be released stops nobody else's."""

    def init_src(self) -> None:
        """Find the folders of feedback, by student."""
        directory, lab = self.coursedir.feedback_directory, self.coursedir.assignment_id
        pattern = re.compile(self.coursedir.format_path(directory, "(?P<student>[^/]+)", lab, escape=True))
        anywhere = self.coursedir.format_path(directory, self.coursedir.student_id or "*", lab)
        excluded = set(filter(None, self.coursedir.student_id_exclude.split(",")))
        self.folders: dict[str, Path] = {}
        for folder in sorted(Path("/").glob(anywhere.lstrip("/"))):
            found = pattern.fullmatch(str(folder))
            if found and found["student"] not in excluded and any(folder.glob("*.html")):
                self.folders[found["student"]] = folder

    def init_dest(self) -> None:
        """Check that there is a course."""
        self.log.debug("Course: %s", self.course)

    def copy_files(self) -> None:
        """Send each student's."""
        course, lab = self.course, self.coursedir.assignment_id
        service = self.ask(lambda known: known)
        failed = [
            student for student, folder in self.folders.items() if not self._release(service, student, folder)
        ]
        if failed:
            self.fail(f"Feedback of {course} {lab} was not released for: {', '.join(failed)}")

    def _release(self, service: Service, student: str, folder: Path) -> bool:
        course, lab = self.course, self.coursedir.assignment_id
        id_file = folder / ID_FILE
        if not id_file.is_file():
            self.log.error("%s: no %s. Collect, grade and generate feedback again.", folder, ID_FILE)
            return False
        try:
            archive = pack_folder(folder, _only_pages)
            service.release_feedback(course, lab, id_file.read_text(encoding="utf-8").strip(), archive)
        except ServiceError as error:
            self.log.error("%s: %s", folder, error)
            return False
        self.log.info("Releasing feedback for student '%s' on assignment '%s/%s'", student, course, lab)
        return True


def _only_pages(folder: str, names: list[str]) -> list[str]:
    """Leave out everything but the pages at the top."""
    return [name for name in names if not name.endswith(".html") or Path(folder, name).is_dir()]
