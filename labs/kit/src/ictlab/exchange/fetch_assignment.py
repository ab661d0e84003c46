"""`nbgrader fetch_assignment`: a released lab into the home."""

from __future__ import annotations

from nbgrader.exchange.abc import ExchangeFetchAssignment as ABCExchangeFetchAssignment

from ictlab.exchange.base import Exchange
from ictlab.exchange.files import add_missing, unpack_new


class ExchangeFetchAssignment(Exchange, ABCExchangeFetchAssignment):
    """Fetches a lab. Never overwrites a file."""

    def init_src(self) -> None:
        """Check that the lab is offered."""
        course, lab = self.course, self.coursedir.assignment_id
        offered = [row["lab"] for row in self.ask(lambda service: service.releases(course))]
        if lab not in offered:
            self.not_found(lab, offered)

    def init_dest(self) -> None:
        """Find the lab's folder."""
        folder = self.lab_folder(self.course, self.coursedir.assignment_id)
        self.dest_path = folder.absolute()
        if self.dest_path.is_dir() and not self.replace_missing_files:
            self.fail(f"You already have a copy of the assignment in this directory: {folder}")

    def copy_files(self) -> None:
        """Fetch and unpack."""
        course, lab = self.course, self.coursedir.assignment_id
        archive = self.ask(lambda service: service.release_archive(course, lab))
        self.log.info("Destination: %s", self.dest_path)
        ignore = self.ignoring(sizes=False)
        if self.dest_path.is_dir():
            for path in add_missing(archive, self.dest_path, ignore):
                self.log.warning("Replacing missing file '%s'", path)
        else:
            unpack_new(archive, self.dest_path, ignore=ignore)
        self.log.info("Fetched as: %s %s", course, lab)
