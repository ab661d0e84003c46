"""`nbgrader submit`: a lab's folder to the service; the answer is a receipt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbgrader.exchange.abc import ExchangeSubmit as ABCExchangeSubmit
from traitlets import Bool

from ictlab.exchange.base import ID_FILE, RECEIPT_FILE, TIMESTAMP_FILE, Exchange
from ictlab.exchange.files import pack_folder, unpack_new


class ExchangeSubmit(Exchange, ABCExchangeSubmit):
    """Hands in a lab."""

    add_random_string = Bool(True, help="Not used: a submission's id is always random.").tag(config=True)

    def init_src(self) -> None:
        """Find the lab's folder."""
        self.check_student()
        folder = self.lab_folder(self.coursedir.course_id, self.coursedir.assignment_id)
        self.src_path = folder.absolute()
        self.coursedir.assignment_id = self.src_path.name
        if not self.src_path.is_dir():
            around = self.src_path.parent
            self.not_found(
                str(self.src_path), [str(path) for path in sorted(around.glob("*")) if path.is_dir()]
            )

    def init_dest(self) -> None:
        """Check that the lab is offered."""
        course, lab = self.course, self.coursedir.assignment_id
        offered = {row["lab"]: row for row in self.ask(lambda service: service.releases(course))}
        if lab not in offered:
            self.not_found(lab, sorted(offered))
        self._check_notebooks(offered[lab]["notebooks"])

    def copy_files(self) -> None:
        """Hand in, then keep a copy."""
        course, lab = self.course, self.coursedir.assignment_id
        try:
            self.check_size(self.src_path)
            archive = pack_folder(self.src_path, self.ignoring())
        except PermissionError as error:
            self.fail(
                f"{error.filename} cannot be read, so nothing was handed in. Make it readable "
                "(chmod -R u+rwX), or move it out of the lab's folder, and hand in again."
            )
        self.log.info("Source: %s", self.src_path)
        taken = self.ask(lambda service: service.submit(course, lab, archive))
        timestamp = self.timestamp_of(taken)
        try:
            self._keep(archive, taken, timestamp)
        except OSError as error:
            # It is handed in: a full home must not make it look otherwise.
            self.log.warning("Handed in, but there is no room for a copy here (%s)", error)
        self.log.info("Submitted as: %s %s %s", course, lab, timestamp)
        self.log.info("Receipt: %s", taken["receipt"])

    def _keep(self, archive: bytes, taken: dict[str, Any], timestamp: str) -> None:
        name = f"{taken['username']}+{self.coursedir.assignment_id}+{timestamp}"
        extra = {TIMESTAMP_FILE: timestamp, ID_FILE: taken["id"], RECEIPT_FILE: taken["receipt"]}
        unpack_new(archive, Path(self.cache) / self.course / name, extra)

    def _check_notebooks(self, released: list[str]) -> None:
        """Warn, or with --strict fail, when notebooks are missing; warn about extra ones."""
        here = sorted(path.stem for path in self.src_path.glob("*.ipynb"))
        missing = [name for name in released if name not in here]
        extra = [name for name in here if name not in released]
        if not missing and not extra:
            return
        expected = "\n\t".join(
            f"{name}.ipynb: {'MISSING' if name in missing else 'FOUND'}" for name in released
        )
        submitted = "\n\t".join(f"{name}.ipynb: {'EXTRA' if name in extra else 'OK'}" for name in here)
        difference = f"Expected:\n\t{expected}\nSubmitted:\n\t{submitted}"
        lab = self.coursedir.assignment_id
        if missing and self.strict:
            self.fail(
                f"Assignment {lab} not submitted. There are missing notebooks for the submission:\n{difference}"
            )
        self.log.warning(
            "Possible missing notebooks and/or extra notebooks submitted for assignment %s:\n%s",
            lab,
            difference,
        )
