"""How fast a class is graded, beside stock nbgrader in the same run, and whether the marks are the same.

    python -m benchmarks.grading --submissions 100 [--workers 1,2] [--backend docker|process|auto] [--stock N] [--seed S]

grades so many submissions of nbgrader's own quickstart (`ps1`, two notebooks each) and of our lab `net-subnetting`,
each from another student, a mix of right, wrong, empty, crashing, slow and chatty ones: once by `nbgrader autograde`
as it comes, once by `ict grade` with its sandbox on for each number of workers, both from a cold start. It compares
every value of the two gradebooks, says on stderr what is not the same, and prints one JSON line:

    {"submissions": 100, "submissions_per_minute": ..., "ratio_to_nbgrader": ..., "identical": true,
     "cpu_s_per_submission": ..., "peak_memory_mb": ..., "assignments": {"ps1": {"stock": {...}, "ours": {...}}, ...}}

The first line's values are ours with the last number of workers, over both assignments. Processor time and memory are
the whole machine's: leave it alone meanwhile. Stock grades the first --stock submissions (at most 100 unless you ask
for more) and its time is scaled by their count.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbgrader

from benchmarks.grading_compare import differences, graded_count
from benchmarks.grading_meter import Cost
from benchmarks.grading_mix import Mix
from benchmarks.grading_runs import COURSE, OurRun, OurSite, RunError, StockCourse, same_release, tail
from grader.sandbox import choose
from grader.variants import SEED_FILE
from labs.library import Library
from labs.model import Lab

PS1 = Path(nbgrader.__file__).parent / "docs/source/user_guide/source/ps1"
OURS = "net-subnetting"
MOST_STOCK = 100  # stock takes a second or more for each
SHOWN = 40  # differences shown on stderr


@dataclass(frozen=True)
class Plan:
    """What is asked for on the command line."""

    submissions: int
    workers: tuple[int, ...]
    backend: str
    stock: int
    seed: int


@dataclass
class Assignment:
    """A lab with its class, handed in to both graders, and what was measured."""

    lab: Lab
    mix: Mix
    stock: StockCourse
    site: OurSite
    result: dict[str, Any]


def say(text: str) -> None:
    """Tell how far it is; stdout is for the one line."""
    print(text, file=sys.stderr, flush=True)


def prepare(folder: Path, lab: Lab, plan: Plan) -> Assignment:
    """Release `lab` in both worlds and hand in for everybody."""
    stock = StockCourse(folder / "stock", lab)
    site = OurSite(folder / "ours", lab, plan.backend)
    if wrong := same_release(stock.released(), site.released()):
        raise RunError(f"{lab.name}: stock and ours release different files: {', '.join(wrong)}.")
    mix = Mix(lab, site.released(), plan.seed)
    kinds: collections.Counter[str] = collections.Counter()
    for late in (False, True):
        if late:
            due_at = datetime.now(UTC)
            stock.set_due(due_at)
            site.set_due(due_at)
        for index in (i for i in range(plan.submissions) if mix.late(i) == late):
            made = mix.hand_in(index)
            received_at = site.hand_in(made.student, made.files)
            if index < plan.stock:
                seed = site.store.variants.seed(COURSE, lab.name, made.student)  # as fetched with the lab
                stock.hand_in(made.student, made.files | {SEED_FILE: seed.encode()}, received_at)
            kinds[mix.kind(index)] += 1
            kinds["late"] += late
    site.close()
    return Assignment(lab, mix, stock, site, {"mix": dict(sorted(kinds.items())), "ours": {}})


def measured(cost: Cost, count: int) -> dict[str, float]:
    """Say what a run cost, in whole and for each submission."""
    return {
        "seconds": round(cost.seconds, 2),
        "submissions_per_minute": round(60 * count / cost.seconds, 1),
        "cpu_s_per_submission": round(cost.cpu_s / count, 3),
        "peak_memory_mb": round(cost.peak_memory_mb),
    }


def grade_stock(one: Assignment, plan: Plan) -> None:
    """Let stock nbgrader grade its part of the class."""
    say(f"{one.lab.name}: nbgrader autograde, {plan.stock} submissions ...")
    cost, code = one.stock.grade()
    one.result["stock"] = {"submissions": plan.stock, **measured(cost, plan.stock), "exit_code": code}
    say(f"{one.lab.name}: nbgrader autograde took {cost.seconds:.1f} s")
    if code:
        say(f"{one.lab.name}: it ended with {code}:\n{tail(one.stock.log)}")


def grade_ours(one: Assignment, plan: Plan, workers: int) -> None:
    """Grade the whole class with ours, and compare what stock has graded too."""
    say(f"{one.lab.name}: ict grade --jobs {workers}, {plan.submissions} submissions ...")
    run = one.site.grade(workers)
    found, missing = compare(one, plan, run)
    rate = one.result["stock"]["submissions_per_minute"]
    values = measured(run.cost, plan.submissions)
    one.result["ours"][str(workers)] = {
        **values,
        "ratio": round(values["submissions_per_minute"] / rate, 2),
        "parts_s": dict(run.parts),
        "differences": found,
        "not_graded": missing,
    }
    say(f"{one.lab.name}: ict grade --jobs {workers} took {run.cost.seconds:.1f} s; {found} differences")


def compare(one: Assignment, plan: Plan, run: OurRun) -> tuple[int, int]:
    """Count the differences to stock, and who is missing in ours; the first of them are shown."""
    students = {one.mix.student(index): index for index in range(plan.stock)}
    count = 0
    for count, found in enumerate(
        differences(one.stock.gradebook, run.gradebook, COURSE, one.lab.name, students), 1
    ):
        if count <= SHOWN:
            say(f"  {one.lab.name}: {found}  ({one.mix.hand_in(students[found.place[0]]).kind})")
    missing = plan.submissions - graded_count(run.gradebook, COURSE, one.lab.name)
    if missing:
        say(f"  {one.lab.name}: {missing} of {plan.submissions} are not in our gradebook")
    return count, missing


def summary(made: dict[str, dict[str, Any]], plan: Plan, load: float) -> dict[str, Any]:
    """Put the line together from the results of the assignments."""
    last = str(plan.workers[-1])
    ours = [one["ours"][last] for one in made.values()]
    stock_s = sum(60 / one["stock"]["submissions_per_minute"] for one in made.values())
    ours_s = sum(one["seconds"] for one in ours) / plan.submissions
    every = [run for one in made.values() for run in one["ours"].values()]
    return {
        "submissions": plan.submissions,
        "submissions_per_minute": round(60 * len(ours) / ours_s, 1),
        "ratio_to_nbgrader": round(stock_s / ours_s, 2),
        "identical": not any(run["differences"] or run["not_graded"] for run in every),
        "cpu_s_per_submission": round(sum(one["cpu_s_per_submission"] for one in ours) / len(ours), 3),
        "peak_memory_mb": max(one["peak_memory_mb"] for one in ours),
        "workers": plan.workers[-1],
        "stock_submissions": plan.stock,
        "backend": choose() if plan.backend == "auto" else plan.backend,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load, 2),
        "seed": plan.seed,
        "assignments": made,
    }


def arguments() -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--submissions", type=int, default=100, metavar="N", help="of each assignment; default 100"
    )
    parser.add_argument("--workers", default="1,2", metavar="N,N", help="default 1,2")
    parser.add_argument(
        "--backend", choices=["docker", "process", "auto"], default="auto", help="default auto"
    )
    parser.add_argument(
        "--stock", type=int, metavar="N", help=f"graded by stock too; default all, at most {MOST_STOCK}"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the mix; default 1")
    chosen = parser.parse_args()
    try:
        workers = tuple(int(one) for one in chosen.workers.split(","))
    except ValueError:
        parser.error(f"--workers {chosen.workers}: write numbers with commas between, such as 1,2")
    stock = chosen.stock if chosen.stock is not None else MOST_STOCK
    if min(chosen.submissions, stock, *workers) < 1:
        parser.error("--submissions, --stock and --workers are 1 or more")
    return Plan(chosen.submissions, workers, chosen.backend, min(stock, chosen.submissions), chosen.seed)


def main() -> int:
    """Print the JSON line."""
    plan = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    load = os.getloadavg()[0]
    made: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="ictlabs-grading-") as folder:
        for lab in (Lab.load(PS1), Library().lab(OURS)):
            say(f"{lab.name}: {plan.submissions} hand in ...")
            one = prepare(Path(folder) / lab.name, lab, plan)
            grade_stock(one, plan)
            for workers in plan.workers:
                grade_ours(one, plan, workers)
            made[lab.name] = one.result
    print(json.dumps(summary(made, plan, load)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
