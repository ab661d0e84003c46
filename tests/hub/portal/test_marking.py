"""Grading by a person in the portal: the table of a lab, who is graded again, marks and comments, and files."""

from __future__ import annotations

import csv
import html
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grader.gradebook import CourseGradebook
from grader.markbook import markbook_of
from grader.marks import exercise_cells

LAB = "courses/ict101/labs/sums"
ALICE = f"{LAB}/students/alice"


@pytest.fixture
def tiny_hub(tiny_hub: Any) -> Any:
    """The stand-in, which knows an assistant too."""
    tiny_hub.groups["helper"] = ["assist-ict101"]
    return tiny_hub


@pytest.fixture
def grader(visit: Any, sums: Any) -> Any:
    """`grader(name)`: a browser at the portal, over a lab that is in the gradebook."""
    return lambda name="teacher": visit(name)


def form(text: str) -> dict[str, str]:
    """The fields of the form of marks and comments, as a browser would send them."""
    part = re.search(r'<form[^>]*aria-label="Marks and comments">(.*?)</form>', text, re.S)
    assert part
    inputs = re.findall(r'<input[^>]*name="((?:mark|was|saw):[^"]+)"[^>]*value="([^"]*)"', part[1])
    texts = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', part[1], re.S)
    return {html.unescape(name): html.unescape(value) for name, value in [*inputs, *texts]}


def marks(school: Any, student: str) -> Any:
    return CourseGradebook(school.settings.places, "ict101").submission_marks("sums", student)


def by_hand(school: Any, student: str, **points: float) -> None:
    """Mark exercises as another grader does."""
    release = school.store.find_release("ict101", "sums")
    cells = exercise_cells(school.store.blob(release.sha256))
    named = {name.replace("_", "-"): value for name, value in points.items()}
    markbook_of(school.settings.places, "ict101").mark("sums", student, cells, points=named, comments={})


def row_of(text: str, student: str) -> str:
    return text.split(f'/students/{student}">')[1].split("</tr>", maxsplit=1)[0]


def test_the_table_has_a_column_an_exercise_and_what_a_person_gave(grader: Any, sums: Any) -> None:
    by_hand(sums, "bob", check_add=1.5)

    text = grader().get(LAB).text

    assert re.search(
        r"<bdi>check-add</bdi> <small>of 2</small>.*<bdi>why</bdi> <small>of 1</small>", text, re.S
    )
    assert re.search(
        r"<strong>1.5</strong> / 3.*1.5 <small>by hand</small>.*to mark", row_of(text, "bob"), re.S
    )
    assert re.search(r"<strong>0</strong> / 3.*to mark", row_of(text, "alice"), re.S)


def test_a_submission_that_was_marked_through_is_no_longer_one_to_mark(grader: Any, sums: Any) -> None:
    by_hand(sums, "bob", why=1)

    text = grader().get(LAB).text

    assert ">by hand 1</a>" in text
    assert ">graded 1</a>" in text
    assert 'data-state="graded"' in row_of(text, "bob")
    assert "/students/bob" not in grader().get(f"{LAB}?state=by+hand").text


@pytest.mark.parametrize(
    ("sort", "first"), [("name", "alice"), ("points", "bob"), ("newest", "bob"), ("nonsense", "alice")]
)
def test_the_table_is_sorted_as_asked(grader: Any, sums: Any, sort: str, first: str) -> None:
    by_hand(sums, "alice", why=1)

    text = grader().get(f"{LAB}?sort={sort}").text

    assert re.findall(r'<th scope="row"><a href="[^"]*/students/(\w+)"', text)[0] == first


@pytest.mark.parametrize(
    ("fields", "students", "regrade"),
    [
        ({}, None, False),
        ({"what": "chosen", "student:bob": "yes"}, ["bob"], False),
        ({"what": "chosen again", "student:bob": "yes"}, ["bob"], True),
        ({"what": "all again", "student:bob": "yes"}, None, True),
        ({"what": "chosen again", "student:bob": "yes", "student:../x": "yes"}, ["bob"], True),
    ],
)
def test_all_or_those_chosen_are_graded_anew_or_again(
    grader: Any, sums: Any, fields: dict[str, str], students: list[str] | None, regrade: bool
) -> None:
    answer = grader().post(f"{LAB}/grade", **fields)

    job = sums.store.jobs("ict101", "sums")[0]
    assert answer.headers["location"].endswith(LAB)
    assert (job.students, job.regrade, job.requested_by) == (students, regrade, "teacher")


@pytest.mark.parametrize("chosen", [{}, {"student:carol": "yes"}])
def test_nobody_chosen_grades_nobody(grader: Any, sums: Any, chosen: dict[str, str]) -> None:
    before = len(sums.store.jobs("ict101"))
    browser = grader()

    browser.post(f"{LAB}/grade", what="chosen again", **chosen)

    assert len(sums.store.jobs("ict101")) == before
    assert "Nobody is chosen." in browser.get(LAB).text


def test_grading_while_the_job_before_is_being_cancelled_is_a_sentence(grader: Any, sums: Any) -> None:
    browser = grader()
    job, _ = sums.store.open_job("ict101", "sums", "teacher")
    sums.store.start_job(job.id)
    sums.store.cancel_job(job.id)

    assert browser.post(f"{LAB}/grade").status_code == 303
    assert "being cancelled" in browser.get("courses/ict101").text


def test_grading_everybody_again_is_asked_first_and_says_what_stays(grader: Any, sums: Any) -> None:
    by_hand(sums, "bob", why=1)

    text = grader().get(f"{LAB}/again").text

    assert "runs once more: 2, of which 2 have a report" in text
    assert "1 student has such a mark" in text
    assert "Feedback that is out (1) stays" in text
    assert 'value="all again"' in text


def test_marks_and_comments_go_into_the_gradebook(grader: Any, sums: Any) -> None:
    browser = grader()
    fields = form(browser.get(ALICE).text)

    answer = browser.post(
        ALICE,
        **fields
        | {"mark:why": "0,5", "mark:check-add": "2", "comment:sums:why": "Half <b>right</b>.\r\nSee 2."},
    )

    found = marks(sums, "alice")
    assert answer.status_code == 303
    assert (found.points, found.needs_manual) == (2.5, False)
    assert found.cells["sums"]["why"].comment == "Half <b>right</b>.\nSee 2."
    text = browser.get(ALICE).text
    assert "Half &lt;b&gt;right&lt;/b&gt;." in text
    assert 'value="0.5"' in text


def test_an_emptied_field_gives_the_checks_mark_back(grader: Any, sums: Any) -> None:
    by_hand(sums, "alice", check_add=2)
    browser = grader()

    browser.post(ALICE, **form(browser.get(ALICE).text) | {"mark:check-add": ""})

    assert marks(sums, "alice").points == 0
    assert not marks(sums, "alice").cells["sums"]["check-add"].needs_manual


def test_what_another_grader_did_meanwhile_stays(grader: Any, sums: Any) -> None:
    browser = grader()
    fields = form(browser.get(ALICE).text)
    by_hand(sums, "alice", check_add=1.5)

    browser.post(ALICE, **fields | {"comment:sums:why": "Mine."})

    assert marks(sums, "alice").points == 1.5


@pytest.mark.parametrize(
    ("value", "why"),
    [("1.5", "It is worth 1"), ("-1", "It is worth"), ("x", "is no number"), ("nan", "cannot be")],
)
def test_a_mark_that_cannot_be_is_told_and_what_was_written_is_still_there(
    grader: Any, sums: Any, value: str, why: str
) -> None:
    browser = grader()

    answer = browser.post(
        ALICE, **form(browser.get(ALICE).text) | {"mark:why": value, "comment:sums:why": "Long thought."}
    )

    assert answer.status_code == 422
    assert why in answer.text
    assert "Nothing was saved." in answer.text
    assert "Long thought." in answer.text
    assert marks(sums, "alice").cells["sums"]["why"].comment == ""


def test_a_comment_on_every_exercise_in_any_script_fits_the_form_and_a_longer_one_does_not(
    grader: Any, sums: Any
) -> None:
    browser = grader()
    fields = form(browser.get(ALICE).text)

    browser.post(ALICE, **fields | {"comment:sums:why": "评" * 4000, "comment:sums:add": "好" * 4000})
    longer = browser.post(ALICE, **fields | {"comment:sums:why": "评" * 4001})

    assert marks(sums, "alice").cells["sums"]["why"].comment == "评" * 4000
    assert "4000 at most" in longer.text


def test_the_next_submission_is_one_press_away(grader: Any, sums: Any) -> None:
    browser = grader()
    text = browser.get(ALICE).text

    answer = browser.post(ALICE, **form(text) | {"then": "next"})
    last = browser.post(f"{LAB}/students/bob", then="next")

    assert f'rel="next" href="/services/portal/{LAB}/students/bob"' in text
    assert answer.headers["location"].endswith("/students/bob")
    assert last.headers["location"].endswith("/students/bob")


def test_feedback_that_lacks_what_was_given_is_told_of_and_released_again_for_this_student(
    grader: Any, sums: Any
) -> None:
    browser = grader()
    before = browser.get(ALICE).text
    bobs = sums.store.submissions_of("bob", "ict101", "sums")[0].id

    browser.post(ALICE, **form(before) | {"mark:why": "1", "comment:sums:why": "Well said."})
    between, seen = browser.get(ALICE).text, reads(grader, sums)
    browser.post(f"{ALICE}/feedback")
    after = browser.get(ALICE).text

    assert "what the student reads" in before
    assert "does not have what is here now" in between
    assert "Release feedback again" in between
    assert "Well said." not in seen
    assert "does not have what is here now" not in after
    assert "Well said." in reads(grader, sums)
    assert "1 / 3" in reads(grader, sums)
    assert sums.store.feedback_of(bobs) is None


def reads(grader: Any, sums: Any) -> str:
    """What alice reads."""
    found: str = (
        grader("alice").get(f"feedback/{sums.store.submissions_of('alice', 'ict101', 'sums')[0].id}").text
    )
    return found


def test_a_change_in_formgrader_is_seen_too(grader: Any, sums: Any) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(CourseGradebook(sums.settings.places, "ict101").url, "ict101") as gradebook:
        gradebook.find_comment("add", "sums", "sums", "alice").manual_comment = "From Formgrader."
        gradebook.db.commit()

    text = grader().get(ALICE).text

    assert "From Formgrader." in text
    assert "does not have what is here now" in text


def test_the_notebook_is_shut_in_a_sandbox_as_feedback_is(grader: Any, sums: Any) -> None:
    browser = grader()

    around, answer = browser.get(ALICE).text, browser.get(f"{ALICE}/sums.html")

    assert re.search(r"<iframe[^>]* sandbox ", around)
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "So it is." in answer.text
    assert browser.get(f"{ALICE}/other.html").status_code == 404


def test_an_assistant_marks_and_grades_and_releases_nothing(grader: Any, sums: Any) -> None:
    helper = grader("helper")

    for path in (
        "courses/ict101",
        LAB,
        ALICE,
        f"{LAB}/again",
        f"{LAB}/marks.csv",
        "courses/ict101/export.csv",
        "courses/ict101/insight",
        f"{LAB}/insight",
    ):
        assert helper.get(path).status_code == 200, path
    assert (
        "Release feedback"
        not in helper.get(LAB).text + helper.get(ALICE).text + helper.get("courses/ict101").text
    )
    helper.post(ALICE, **form(helper.get(ALICE).text) | {"mark:why": "1"})
    helper.post(f"{LAB}/grade", what="chosen again", **{"student:bob": "yes"})
    assert marks(sums, "alice").points == 1
    assert helper.post(f"courses/ict101/jobs/{sums.store.jobs('ict101')[0].id}/cancel").status_code == 303
    assert sums.store.jobs("ict101", "sums")[0].requested_by == "helper"
    for path in (f"{ALICE}/feedback", f"{LAB}/feedback", "courses/ict101/formgrader"):
        assert helper.post(path).status_code == 403, path


def test_who_handed_in_nothing_and_who_is_nobody_are_not_there(grader: Any, sums: Any) -> None:
    browser = grader()

    for name in ("teacher", "carol", "..%2fx", "%3Cscript%3E"):
        assert browser.get(f"{LAB}/students/{name}").status_code == 404, name
    assert browser.get("courses/ict101/labs/none/students/alice").status_code == 404


def test_without_a_gradebook_marks_are_read_and_not_given(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    text = browser.get("courses/ict101/labs/lab-one/students/alice").text

    assert "The gradebook does not have this submission" in text
    assert "Expected /26" in text
    assert browser.post("courses/ict101/labs/lab-one/students/alice").status_code == 404


def opened(browser: Any, **where: str) -> str:
    """Where Open Formgrader leads in the end: on a busy machine by the page of the start, as a browser goes."""
    way: str = browser.post("courses/ict101/formgrader", **where).headers["location"]
    while way.startswith("/services/"):
        way = browser.client.get(way, follow_redirects=False).headers.get("location", way)
    return way


def test_formgrader_opens_at_the_submission(grader: Any, sums: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    release = sums.store.find_release("ict101", "sums")
    cells = exercise_cells(sums.store.blob(release.sha256))
    page = markbook_of(sums.settings.places, "ict101").sheet("sums", "alice", cells).formgrader["sums"]

    answer = opened(grader(), lab="sums", username="alice")
    start = opened(grader(), lab="sums", username="nobody")

    assert answer == f"/user/teacher/base/formgrader/submissions/{page}/"
    assert start == "/user/teacher/base/formgrader"


def test_formgrader_opens_at_its_start_for_a_course_that_it_does_not_show(
    grader: Any, sums: Any, tiny_hub: Any
) -> None:
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    tiny_hub.groups["teacher"] = ["formgrade-ict101", "formgrade-abc101"]
    browser = grader()

    answer = opened(browser, lab="sums", username="alice")

    assert answer == "/user/teacher/base/formgrader"
    assert "Formgrader opens with your course abc101." in browser.get(ALICE).text


def test_formgrader_opens_at_the_submission_after_the_server_has_started(
    grader: Any, sums: Any, tiny_hub: Any
) -> None:
    browser = grader()

    begun = browser.post("courses/ict101/formgrader", lab="sums", username="alice").headers["location"]
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    tiny_hub.events = ['data: {"progress": 100, "ready": true, "message": "Ready"}\n\n']
    answers = [browser.client.get(begun, follow_redirects=False) for _ in range(3)]

    assert re.search(r"/formgrader/submissions/[0-9a-f]{32}/$", answers[-1].headers.get("location", ""))


def test_a_labs_table_is_a_file_that_runs_no_formula(grader: Any, sums: Any) -> None:
    from grader.store import MemberRow

    sums.store.enrol("ict101", [MemberRow("bob", name="=HYPERLINK(1)", section="+A")])
    by_hand(sums, "bob", check_add=1.5)

    answer = grader().get(f"{LAB}/marks.csv")
    rows = {row["username"]: row for row in csv.DictReader(io.StringIO(answer.text))}

    assert "attachment" in answer.headers["content-disposition"]
    bob, alice = rows["bob"], rows["alice"]
    assert (bob["name"], bob["group"]) == ("'=HYPERLINK(1)", "'+A")
    assert (bob["points"], bob["max_points"], bob["check-add"], bob["why"]) == ("1.5", "3", "1.5", "")
    assert (alice["points"], alice["check-add"], alice["why"]) == ("0", "0", "")


def test_the_file_of_the_whole_class_has_marks_that_people_gave(grader: Any, sums: Any) -> None:
    by_hand(sums, "bob", check_add=1.5)

    rows = list(csv.DictReader(io.StringIO(grader().get("courses/ict101/marks.csv").text)))

    assert {row["username"]: (row["lab-one"], row["sums"]) for row in rows} == {
        "alice": ("18", "0"),
        "bob": ("18", "1.5"),
    }


def test_nbgraders_export_is_its_commands_own_bytes(grader: Any, sums: Any, tmp_path: Path) -> None:
    url = CourseGradebook(sums.settings.places, "ict101").url
    command = [
        sys.executable,
        "-m",
        "nbgrader",
        "export",
        "--db",
        url,
        "--course",
        "ict101",
        "--to",
        "own.csv",
    ]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)

    answer = grader().get("courses/ict101/export.csv")

    assert answer.content == (tmp_path / "own.csv").read_bytes()
    assert "attachment" in answer.headers["content-disposition"]


def test_a_course_without_a_gradebook_exports_a_sentence(visit: Any, school: Any) -> None:
    answer = visit("teacher").get("courses/ict101/export.csv")

    assert answer.status_code == 409
    assert "no gradebook yet" in answer.text


@pytest.mark.parametrize("kind", ["garbage", "link", "empty"])
def test_what_lies_in_the_gradebooks_place_instead_is_told_and_breaks_no_page(
    grader: Any, sums: Any, tmp_path: Path, kind: str
) -> None:
    file = sums.settings.places.course("ict101") / "gradebook.db"
    file.rename(tmp_path / "away.db")
    if kind == "link":
        file.symlink_to(tmp_path / "away.db")
    else:
        file.write_bytes(b"garbage" * 1000 if kind == "garbage" else b"")
    browser = grader()

    statuses = {
        path: browser.get(path).status_code
        for path in (
            LAB,
            ALICE,
            f"{LAB}/again",
            f"{LAB}/marks.csv",
            "courses/ict101/marks.csv",
            "courses/ict101",
        )
    }
    browser.post(f"{LAB}/feedback")
    export = browser.get("courses/ict101/export.csv").status_code

    assert {statuses.pop(path) for path in (LAB, ALICE, "courses/ict101")} == {200}
    assert set(statuses.values()) | {export} <= {200, 409}
    assert "The gradebook does not have this submission" in browser.get(ALICE).text
    if kind != "empty":  # the first look lets nbgrader make its tables in an empty file
        assert "Marks that people gave are not shown." in browser.get(LAB).text


@pytest.mark.parametrize(
    "path", ["courses/ict101/marks.csv", "courses/ict101/export.csv", f"{LAB}/marks.csv"]
)
def test_files_of_a_whole_class_are_not_made_all_the_time(grader: Any, sums: Any, path: str) -> None:
    browser = grader()

    statuses = [browser.get(path).status_code for _ in range(7)]

    assert statuses == [200] * 6 + [429]
