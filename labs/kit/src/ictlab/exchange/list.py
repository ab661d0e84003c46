"""`nbgrader list`: what is offered, what was handed in, what feedback there is. Assignment List reads this too."""

from __future__ import annotations

import hashlib
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

from nbgrader.exchange.abc import ExchangeList as ABCExchangeList

from ictlab.exchange.base import ID_FILE, RECEIPT_FILE, TIMESTAMP_FILE, Exchange, matches
from ictlab.exchange.client import Service
from ictlab.exchange.files import unpack_new

Info = dict[str, Any]


class ExchangeList(Exchange, ABCExchangeList):
    """Lists labs and submissions as nbgrader's documentation of the exchange describes them."""

    may_be_remembered = True  # Formgrader lists on every request of every page

    def copy_files(self) -> None:
        """Nothing is copied by a list."""

    def list_files(self) -> list[Info]:
        """List, in the log and as a value."""
        found = self._find()
        self._say("Submitted assignments:" if self._submitted else "Released assignments:", found)
        return found

    def remove_files(self) -> list[Info]:
        """Withdraw releases, or clear the cache. Submissions stay: a receipt was given for each."""
        if self.inbound:
            self.fail("Submissions are kept: their receipts say so. Leave --remove out.")
        found = self._find()
        self._say(
            "Removing submitted assignments:" if self._submitted else "Removing released assignments:", found
        )
        if self.cached:
            for group in found:
                for info in group["submissions"]:
                    shutil.rmtree(info["path"])
        else:
            for info in found:
                self.ask(lambda service, row=info: service.withdraw(row["course_id"], row["assignment_id"]))
        return found

    @property
    def _submitted(self) -> bool:
        return bool(self.inbound or self.cached)

    def _find(self) -> list[Info]:
        if not self._submitted:
            return self._released()
        found = self._cached() if self.cached else self._inbound()
        return _grouped(found)

    def _wanted(self, course: str, lab: str, student: str | None = None) -> bool:
        return (
            matches(course, self.coursedir.course_id)
            and matches(lab, self.coursedir.assignment_id)
            and (student is None or matches(student, self.coursedir.student_id))
        )

    # Releases

    def _released(self) -> list[Info]:
        found = []
        for row in self.ask(lambda service: service.releases(self.coursedir.course_id)):
            if not self._wanted(row["course"], row["lab"]):
                continue
            folder = self.lab_folder(row["course"], row["lab"]).absolute()
            info: Info = {"course_id": row["course"], "assignment_id": row["lab"]}
            if folder.exists():
                paths = sorted(folder.glob("*.ipynb"))
                info.update(status="fetched", path=str(folder), notebooks=[_notebook(path) for path in paths])
            else:
                there = f"{row['course']}/{row['lab']}"
                notebooks = [
                    {"notebook_id": name, "path": f"{there}/{name}.ipynb"} for name in row["notebooks"]
                ]
                info.update(status="released", path=there, notebooks=notebooks)
            info["downloaded"] = info["status"] == "fetched"
            if self.remove:
                info["status"] = "removed"
            found.append(info)
        return found

    # Submissions

    def _inbound(self) -> list[Info]:
        course = self.coursedir.course_id
        rows = self.ask(lambda service: service.submissions(course, everybody=True))
        return [
            self._described(
                row, f"{row['course']}/{row['lab']}/{row['id']}", row["notebooks"], self.timestamp_of(row)
            )
            for row in rows
            if self._wanted(row["course"], row["lab"], row["username"])
        ]

    def _cached(self) -> list[Info]:
        own = self.ask(lambda service: service.submissions(self.coursedir.course_id))
        self._restore(own)
        by_id = {row["id"]: row for row in own}
        found = []
        for folder in sorted(Path(self.cache).glob("*/*+*+*")):
            student, lab, timestamp = folder.name.rsplit("+", 2)
            course = folder.parent.name
            if not self._wanted(course, lab, student):
                continue
            id_file = folder / ID_FILE
            identity = id_file.read_text(encoding="utf-8").strip() if id_file.is_file() else ""
            row = {"course": course, "lab": lab, "username": student, "feedback": None} | by_id.get(
                identity, {}
            )
            notebooks = [path.stem for path in sorted(folder.glob("*.ipynb"))]
            found.append(self._described(row, str(folder), notebooks, timestamp))
        return found

    def _restore(self, own: list[Info]) -> None:
        """Fill the cache of a course that has none (a new home) from the service."""
        courses = {row["course"] for row in own}
        empty = {course for course in courses if not (Path(self.cache) / course).exists()}
        for row in own:
            if row["course"] not in empty:
                continue
            timestamp = self.timestamp_of(row)
            folder = Path(self.cache) / row["course"] / f"{row['username']}+{row['lab']}+{timestamp}"
            archive = self.ask(lambda service, row=row: Service.submission_archive(service, row))
            extra = {TIMESTAMP_FILE: timestamp, ID_FILE: row["id"], RECEIPT_FILE: row["receipt"]}
            unpack_new(archive, folder, extra)

    def _described(self, row: Info, path: str, notebooks: list[str], timestamp: str) -> Info:
        feedback = self.lab_folder(row["course"], row["lab"]).absolute() / "feedback" / timestamp
        pages: dict[str, str] = row["feedback"]["pages"] if row["feedback"] else {}
        described = [_with_feedback(name, path, feedback, pages) for name in notebooks]
        local = bool(described) and all(info["has_local_feedback"] for info in described)
        return {
            "course_id": row["course"],
            "student_id": row["username"],
            "assignment_id": row["lab"],
            "timestamp": timestamp,
            "status": "removed" if self.remove else "submitted",
            "path": path,
            "notebooks": described,
            "has_local_feedback": local,
            "has_exchange_feedback": bool(described)
            and all(info["has_exchange_feedback"] for info in described),
            "feedback_updated": any(info["feedback_updated"] for info in described),
            "local_feedback_path": str(feedback) if local else None,
        }

    # Words

    def _say(self, title: str, found: list[Info]) -> None:
        self.log.info(title)
        for info in found:
            for line in (
                map(_submission_line, info["submissions"]) if self._submitted else [_release_line(info)]
            ):
                self.log.info(line)


def _notebook(path: Path) -> Info:
    return {"notebook_id": path.stem, "path": str(path)}


def _with_feedback(name: str, path: str, folder: Path, pages: dict[str, str]) -> Info:
    """One notebook of a submission: is there feedback here, is there some to fetch, is that newer."""
    page = folder / f"{name}.html"
    here = hashlib.sha256(page.read_bytes()).hexdigest() if page.is_file() else None
    there = pages.get(page.name)
    return {
        "notebook_id": name,
        "path": f"{path}/{name}.ipynb",
        "has_local_feedback": here is not None,
        "has_exchange_feedback": there is not None,
        "local_feedback_path": str(page) if here else None,
        "feedback_updated": here is not None and there is not None and here != there,
    }


def _grouped(found: list[Info]) -> list[Info]:
    """Submissions by course, student and lab, oldest first."""

    def key(info: Info) -> tuple[str, str, str]:
        return info["course_id"], info["student_id"], info["assignment_id"]

    groups = []
    for (course, student, lab), members in groupby(sorted(found, key=key), key):
        submissions = sorted(members, key=lambda info: info["timestamp"])
        groups.append(
            {
                "course_id": course,
                "student_id": student,
                "assignment_id": lab,
                "status": submissions[0]["status"],
                "submissions": submissions,
            }
        )
    return groups


def _release_line(info: Info) -> str:
    return f"{info['course_id']} {info['assignment_id']}" + (
        " (already downloaded)" if info["downloaded"] else ""
    )


def _submission_line(info: Info) -> str:
    line = f"{info['course_id']} {info['student_id']} {info['assignment_id']} {info['timestamp']}"
    if info["status"] != "submitted":
        return line
    if info["has_local_feedback"] and not info["feedback_updated"]:
        return line + " (feedback already fetched)"
    return line + (
        " (feedback ready to be fetched)" if info["has_exchange_feedback"] else " (no feedback available)"
    )
