"""`ict demo`: a class that is drawn from a seed, really graded, and made once, however often it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from grader.people import Person
from grader.questions import Wanted as Questions
from grader.receipts import verify
from grader.sandbox import unavailable
from grader.settings import GraderSettings, SandboxSettings
from grader.store import Store
from hub.cli import main
from hub.commands.demo import command
from hub.democlass import DemoError, Made, Wanted, attempts, make_class, planned
from hub.demoplan import SOLUTION, TEACHER, UNTOUCHED, GivingBack, Grading, HandIn, Offer, Plan, draw_plan
from hub.portal.attention import students_to_help
from hub.portal.insight import exercise_insights, lab_insight
from hub.settings import Settings
from labs.library import Library
from labs.model import Lab

LABS = ("net-subnetting", "data-sql-joins")
NOW = datetime(2027, 3, 1, 15, 30, tzinfo=UTC)
OFFERS = [Offer(f"lab-{n}", {SOLUTION: 1.0, "half": 0.5, "a third": 0.3, UNTOUCHED: 0.0}) for n in range(5)]


def drawn(students: int = 30, seed: int = 0, labs: int = 5) -> Plan:
    return draw_plan(OFFERS[:labs], students, seed=seed, now=NOW, timezone="Europe/Paris")


# ---------------------------------------------------------------- the plan


def test_a_seed_draws_one_class_and_another_seed_another() -> None:
    assert drawn() == drawn()
    assert drawn().steps != drawn(seed=1).steps


@pytest.mark.parametrize("labs", [1, 2, 3, 5])
def test_everything_happens_within_three_weeks_and_before_now(labs: int) -> None:
    plan = drawn(labs=labs)

    moments = [step.at for step in plan.steps]
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)
    assert NOW - timedelta(days=23) < moments[0]
    assert moments[-1] < NOW
    opened = {window.lab: window.opens_at for window in plan.windows}
    assert all(step.at > opened[step.lab] for step in plan.steps)


def test_one_lab_is_not_due_yet_and_the_one_before_is_graded_in_part() -> None:
    *given_back, partly, open_lab = drawn().windows

    steps = drawn().steps
    done = {kind: {step.lab for step in steps if isinstance(step, kind)} for kind in (Grading, GivingBack)}
    assert partly.due_at < NOW < open_lab.due_at
    assert done[GivingBack] == {window.lab for window in given_back}
    assert done[Grading] == done[GivingBack] | {partly.lab}
    last = max(step.at for step in steps if isinstance(step, Grading) and step.lab == partly.lab)
    assert any(isinstance(s, HandIn) and s.lab == partly.lab and s.at > last for s in steps)


def test_attempts_get_better_and_some_students_are_late_or_hand_in_nothing() -> None:
    plan = drawn()
    earns = OFFERS[0].earns
    due = {window.lab: window.due_at for window in plan.windows}
    sent: dict[tuple[str, str], list[HandIn]] = {}
    for step in plan.steps:
        if isinstance(step, HandIn):
            sent.setdefault((step.lab, step.username), []).append(step)

    for steps in sent.values():
        shares = [earns[step.attempt] for step in steps]
        assert shares == sorted(shares)
        assert len(steps) <= 4
    assert len(sent) < len(plan.students) * len(OFFERS)
    assert 0 < sum(steps[-1].at > due[lab] for (lab, _), steps in sent.items()) < len(sent) / 4
    assert len({step.attempt for steps in sent.values() for step in steps}) == len(earns)


def test_people_have_names_groups_and_roles() -> None:
    members = drawn(students=150).members()

    assert len({row.username for row in members}) == len({row.name for row in members}) == 152
    assert Counter(row.role for row in members) == {"student": 150, "assistant": 1, "instructor": 1}
    assert Counter(row.section for row in members) == {"A": 75, "B": 75, "": 2}


# ---------------------------------------------------------------- the class


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str, str], None]) -> Settings:
    """A site of its own that grades in the inner wall alone."""
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")
    return process_site(tmp_path_factory.mktemp("demo"))


def process_site(folder: Path) -> Settings:
    return Settings(root=folder, grader=GraderSettings(sandbox=SandboxSettings(backend="process"), workers=1))


@pytest.fixture(scope="module")
def made(site: Settings) -> Made:
    """A class of twelve in two labs."""
    return make_class(site, students=12, labs=LABS, say=lambda _said: None)


@pytest.fixture
def store(site: Settings, made: Made) -> Store:
    """Its record."""
    return Store.open(site.database_url, site.places)


def declared(lab: Lab, name: str) -> dict[str, float]:
    """The marks that an attempt must earn, by exercise."""
    every = {exercise.id: exercise.points for exercise in lab.exercise}
    if name in (SOLUTION, UNTOUCHED):
        return every if name == SOLUTION else dict.fromkeys(every, 0.0)
    attempt = attempts(lab)[name]
    rest = every if attempt.rest == "solution" else dict.fromkeys(every, 0.0)
    return {**rest, **attempt.earns}


@pytest.mark.slow
def test_every_attempt_earned_the_marks_that_its_lab_declares(site: Settings, store: Store) -> None:
    library = Library()
    sent = {
        (step.lab, step.username, step.at): step.attempt
        for step in planned(site, "demo").steps
        if isinstance(step, HandIn)
    }
    reports = store.reports("demo")

    for submission, report in reports:
        attempt = sent[submission.lab, submission.username, submission.received_at]
        earned = {mark["exercise"]: mark["points"] for mark in report.exercises}
        assert earned == declared(library.lab(submission.lab), attempt), (submission.lab, attempt)
    assert {submission.lab for submission, _ in reports} == {LABS[0]}  # the other is not due yet
    tried = {sent[s.lab, s.username, s.received_at] for s, _ in reports}
    assert len(tried & {each.name for each in library.lab(LABS[0]).attempts()}) > 1


@pytest.mark.slow
def test_the_record_says_what_was_planned(site: Settings, store: Store, made: Made) -> None:
    plan, submissions = planned(site, "demo"), store.submissions("demo")

    assert {(row.lab, row.username, row.received_at) for row in submissions} == {
        (step.lab, step.username, step.at) for step in plan.steps if isinstance(step, HandIn)
    }
    jobs = {(job.lab, job.created_at) for job in store.jobs("demo")}
    assert jobs == {(step.lab, step.at) for step in plan.steps if isinstance(step, Grading)}
    assert made.submissions == len(submissions) == len({row.id for row in submissions})
    assert made.graded == len(store.reports("demo"))
    for row in submissions:
        assert verify(row.receipt, store.receipts.public_key)["received_at"] == row.received_at.isoformat(
            timespec="microseconds"
        )
    moments = [moment for _, report in store.reports("demo") for moment in (report.graded_at,)]
    assert max(moments) < datetime.now(UTC) - timedelta(days=1)


@pytest.mark.slow
def test_feedback_is_out_for_what_is_past_due_and_stands(store: Store) -> None:
    rows = store.handed_in(course="demo")
    newest = {row.id for row in store.newest_submissions("demo", LABS[0])}

    assert {row.id for row in rows if row.is_out} == newest
    assert all(row.released_points == row.points for row in rows if row.is_out)


@pytest.mark.slow
def test_pages_that_explain_a_class_have_something_to_say(store: Store) -> None:
    release = store.find_release("demo", LABS[0])
    rows = store.handed_in(course="demo", lab=LABS[0])
    students = {row.username for row in store.members("demo") if row.role == "student"}

    lab = lab_insight(rows, students)
    exercises = exercise_insights(rows, students, release.released_at)
    help_needed = students_to_help(
        store.members("demo"), store.releases("demo"), store.handed_in(course="demo"), datetime.now(UTC)
    )

    assert sum(bool(count) for count in lab.histogram) > 2
    assert any(each.hours for each in exercises)
    assert any(each.failing for each in exercises)
    assert len(help_needed) < len(students)
    assert [said.title for said in store.announcements("demo")][-1] == "Welcome"


@pytest.mark.slow
def test_made_again_it_is_the_same_class(site: Settings, store: Store, made: Made) -> None:
    again = make_class(site, say=lambda _said: None)

    assert (again.submissions, again.graded, again.feedback) == (made.submissions, made.graded, made.feedback)
    assert set(made.passwords) == {TEACHER, "demo-01"}
    assert again.passwords == {}
    assert len(store.jobs("demo")) == sum(isinstance(s, Grading) for s in planned(site, "demo").steps)
    assert len(store.announcements("demo")) == 3
    asked = store.questions("demo", Person(TEACHER, frozenset({"formgrade-demo"})), Questions(), 0, 10)
    assert sorted(each.state for each in asked) == ["answered", "open"]
    (doubted,) = store.inquiries("demo")
    assert store.feedback_of(doubted.submission_id) is not None
    open_lab = planned(site, "demo").windows[-1].lab
    assert len(store.extensions("demo", open_lab)) == 1
    assert store.find_release("demo", open_lab).late_kind == "deduction"


@pytest.mark.slow
@pytest.mark.usefixtures("made")
def test_some_of_the_class_are_at_work_at_what_their_reports_say_is_not_solved(store: Store) -> None:
    now = datetime.now(UTC)

    places = [each for each in store.places("demo", since=now - timedelta(hours=1)) if each.is_working(now)]

    assert places
    remarks = store.remarks([row.submission_id for row in store.all_work("demo")])
    said = "\n".join(each["message"] or "" for remark in remarks.values() for each in remark.exercises)
    assert all(name in said for place in places for name in place.failing_checks)
    assert {hand.username for hand in store.hands("demo")} <= {place.username for place in places}


@pytest.mark.slow
def test_another_class_in_its_place_is_refused(site: Settings, made: Made) -> None:
    with pytest.raises(DemoError, match=f"--students {made.students} --seed 0 --lab net-subnetting"):
        make_class(site, students=5, say=lambda _said: None)


def test_a_real_course_is_not_touched(tmp_path: Path) -> None:
    settings = process_site(tmp_path)
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101", "A real course")

    answer = CliRunner().invoke(command, ["--course", "ict101", "--lab", LABS[0]], obj=settings)

    assert answer.exit_code == 1
    assert "ict101 is a real course" in answer.output
    assert (store.members("ict101"), store.releases("ict101")) == ([], [])


@pytest.mark.slow
@pytest.mark.usefixtures("site")
def test_killed_and_started_again_nothing_is_lost_or_double(tmp_path: Path) -> None:
    settings = process_site(tmp_path)
    file = tmp_path / "ictlabs.toml"
    file.write_text('[grader]\nworkers = 1\n[grader.sandbox]\nbackend = "process"\n')
    asked = [sys.executable, "-m", "hub.cli", "--settings", str(file), "demo"]
    for until in (0, 3):  # reports there are when it is killed
        killed = subprocess.Popen(
            [*asked, "--students", "6", *(f"--lab={lab}" for lab in LABS)], start_new_session=True
        )
        store = Store.open(settings.database_url, settings.places)
        while killed.poll() is None and not (
            (len(store.reports("demo")) > until) if until else len(store.submissions("demo")) > 2
        ):
            time.sleep(0.02)
        assert killed.poll() is None, "it was too quick to be killed"
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()

    done = subprocess.run(asked, check=True, capture_output=True, text=True)

    plan, submissions = planned(settings, "demo"), store.submissions("demo")
    assert sorted((row.received_at, row.username) for row in submissions) == sorted(
        (step.at, step.username) for step in plan.steps if isinstance(step, HandIn)
    )
    assert sorted((job.created_at, job.state) for job in store.jobs("demo")) == sorted(
        (step.at, "done") for step in plan.steps if isinstance(step, Grading)
    )
    newest = store.newest_submissions("demo", LABS[0])
    assert set(store.feedback_for(row.id for row in newest)) == {row.id for row in newest}
    assert f"{len(submissions)} submissions" in done.stdout


def test_what_a_class_is_drawn_from_is_kept_whole() -> None:
    wanted = Wanted(30, LABS, 7, NOW)

    assert Wanted.loads(wanted.dumps()) == wanted


def test_help_has_an_example() -> None:
    shown = CliRunner().invoke(main, ["demo", "--help"])

    assert shown.exit_code == 0
    assert "ict demo --students 30" in shown.output
