"""`nbgrader fetch_feedback`: released feedback into the lab's folder."""

from __future__ import annotations

from nbgrader.exchange.abc import ExchangeFetchFeedback as ABCExchangeFetchFeedback

from ictlab.exchange.base import Exchange, matches
from ictlab.exchange.files import unpack


class ExchangeFetchFeedback(Exchange, ABCExchangeFetchFeedback):
    """Fetches the person's own feedback: <lab>/feedback/<timestamp>/<notebook>.html."""

    def init_src(self) -> None:
        """Find submissions that have feedback."""
        self.check_student()
        course, lab = self.course, self.coursedir.assignment_id
        own = [
            row for row in self.ask(lambda service: service.submissions(course)) if matches(row["lab"], lab)
        ]
        self.ready = [row for row in own if row["feedback"]]
        for row in own:
            if not row["feedback"]:
                self.log.warning(
                    "Could not find feedback for '%s/%s' submitted at %s",
                    course,
                    row["lab"],
                    self.timestamp_of(row),
                )

    def copy_files(self) -> None:
        """Fetch and unpack; newer feedback replaces older."""
        for row in self.ready:
            archive = self.ask(lambda service, row=row: service.feedback_archive(row))
            folder = (
                self.lab_folder(row["course"], row["lab"]).absolute() / "feedback" / self.timestamp_of(row)
            )
            unpack(archive, folder)
            self.log.info("Fetched feedback: %s", folder)
