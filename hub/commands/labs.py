"""`ict labs`: list the labs there are, start a new one, build its notebooks, prove that it keeps its promises."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import click
import nbformat
from nbformat import NotebookNode

from grader.sandbox.base import Sandbox, SandboxError
from grader.settings import SandboxSettings
from hub.images import environments
from hub.settings import Settings
from labs import build
from labs.library import CATALOG, Library, by_track
from labs.model import Lab, LabError, Track
from labs.prove import Proof, proofs
from labs.starter import TEMPLATE, import_course, start

JOBS_A_CORE = 2  # a proof mostly waits, for kernels to start and networks to converge


@click.group("labs")
def command() -> None:
    """Labs: what is taught.

    \b
    Example: ict labs prove --lab net-subnetting
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.pass_obj
def list_labs(settings: Settings, as_json: bool) -> None:
    """List the labs; exit code 1 if one cannot be read.

    \b
    Example: ict labs list --json
    """
    library = _library(settings)
    found, problems = by_track(library.labs()), library.problems()
    if as_json:
        shown = {"name", "title", "track", "level", "minutes", "environment", "outcomes", "maps_to"}
        rows = [lab.model_dump(mode="json", include=shown) | _counts(lab) for lab in found]
        click.echo(json.dumps({"labs": rows, "problems": {str(p): m for p, m in problems.items()}}, indent=2))
    else:
        head = ("NAME", "TRACK", "LEVEL", "MIN", "POINTS", "ENVIRONMENT", "TITLE")
        lines = [
            (lab.name, lab.track, lab.level, lab.minutes, f"{lab.max_points:g}", lab.environment, lab.title)
            for lab in found
        ]
        _table([head, *lines])
        for message in problems.values():
            click.echo(message, err=True)
    if problems:
        sys.exit(1)


@command.command()
@click.argument("name")
@click.option("--title", help="What the lab is called.")
@click.option("--track", type=click.Choice(get_args(Track)), help="Where it stands in the library.")
@click.option("--level", type=click.IntRange(1, 3), help="1 for beginners to 3.")
@click.option("--minutes", type=click.IntRange(1, 600), help="How long a student needs.")
@click.option("--environment", type=click.Choice(environments()), help="The container image it runs in.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that gets the new lab's folder; the first of [labs] folders, or the catalog, if left out.",
)
@click.pass_obj
def new(settings: Settings, /, name: str, into: Path | None, **values: str | int | None) -> None:
    """Start a lab: a folder that already passes its proofs, to be changed step by step.

    At a terminal it asks for what is not given.

    \b
    Example: ict labs new net-my-lab --title "My lab" --track network --minutes 60
    """
    try:
        if sys.stdin.isatty():
            template = Lab.load(TEMPLATE)
            kinds = {option.name: option.type for option in click.get_current_context().command.params}
            for key in [key for key, value in values.items() if value is None]:
                values[key] = click.prompt(key, type=kinds[key], default=getattr(template, key))
        lab = start(name, into or _own_folder(settings), {k: v for k, v in values.items() if v is not None})
    except LabError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{lab.folder} is a lab. Write {lab.text}, then: ict labs prove --lab {name}")


@command.command("import")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that gets the labs; the first of [labs] folders, or the catalog, if left out.",
)
@click.pass_obj
def import_labs(settings: Settings, path: Path, into: Path | None) -> None:
    """Make labs of an nbgrader course folder, or of one assignment's folder; cells and points stay as they are.

    \b
    Example: ict labs import /srv/old-course
    """
    try:
        made = import_course(path, into or _own_folder(settings))
    except LabError as error:
        raise click.ClickException(str(error)) from error
    rows: list[tuple[object, ...]] = [("LAB", "NOTEBOOKS", "CELLS", "EXERCISES", "POINTS")]
    rows += [
        (one.lab.name, one.notebooks, one.cells, len(one.lab.exercise), f"{one.lab.max_points:g}")
        for one in made
    ]
    _table(rows)
    click.echo(f"{len(made)} imported. Prove them: ict labs prove --lab {made[0].lab.name}")


@command.command("preview")
@click.argument("name")
@click.option("--solved", is_flag=True, help="With the reference answers.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1; a free one if left out.")
@click.pass_obj
def show_lab(settings: Settings, name: str, solved: bool, port: int | None) -> None:
    """Open a lab as a student sees it, in its image with a student's walls, until Ctrl+C; nothing is kept.

    \b
    Example: ict labs preview net-ospf
    """
    from hub.preview import PreviewError, preview

    try:
        preview(settings, _library(settings).lab(name), solved=solved, port=port, say=click.echo)
    except (LabError, PreviewError) as error:
        raise click.ClickException(str(error)) from error


@command.command("build")
@click.option("--lab", "name", required=True, help="Name of the lab.")
@click.option(
    "--into",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that gets source/, release/ and solved/.",
)
@click.pass_obj
def build_lab(settings: Settings, name: str, into: Path) -> None:
    """Write a lab's notebooks: nbgrader's source, the release, and the solved release.

    \b
    Example: ict labs build --lab net-subnetting --into /tmp/look
    """
    try:
        lab = _library(settings).lab(name)
        build.write_source(lab, into / "source")
        for folder in ("release", "solved"):
            build.write_source(lab, into / folder)
            made = build.release_notebooks(lab) if folder == "release" else build.solved_notebooks(lab)
            for stem, notebook in made.items():
                path = into / folder / f"{stem}.ipynb"
                path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    except LabError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {into}/source, {into}/release and {into}/solved")


@command.command()
@click.option("--lab", "names", multiple=True, help="Only this lab; may be given again. All if left out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list of proofs instead of the table.")
@click.option("--static", is_flag=True, help="Only the proofs that run nothing; needs no sandbox.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: JOBS_A_CORE * (os.cpu_count() or 1),
    show_default="two a core",
    help="Proofs at a time.",
)
@click.pass_obj
def prove(settings: Settings, names: tuple[str, ...], as_json: bool, static: bool, jobs: int) -> None:
    """Prove labs in their real environment; exit code 1 if a proof fails.

    \b
    Example: ict labs prove --lab net-subnetting
    """
    library = _library(settings)
    try:
        chosen = [library.lab(name) for name in names] or by_track(library.labs())
    except LabError as error:
        raise click.ClickException(str(error)) from error
    unreadable = {} if names else library.problems()
    made: list[Proof] = []
    start = time.monotonic()
    for proof in _all_proofs(settings, chosen, static=static, jobs=jobs):
        made.append(proof)
        mark = "proved" if proof.passed else "FAILED"
        click.echo(f"{mark}  {proof.lab}: {proof.name} ({proof.seconds:.1f} s)", err=True)
        if not proof.passed:
            click.echo(_indented(proof.message), err=True)
    for message in unreadable.values():
        click.echo(message, err=True)
    if as_json:
        click.echo(json.dumps([proof.model_dump() for proof in made], indent=2))
    else:
        _summary(chosen, made, time.monotonic() - start)
    if unreadable or not made or not all(proof.passed for proof in made):
        sys.exit(1)


def _all_proofs(settings: Settings, chosen: list[Lab], *, static: bool, jobs: int) -> Iterator[Proof]:
    """Prove all at once, each lab in a sandbox of its environment.

    A sandbox that cannot be had, or that fails, is a fault of ours and no failed proof.
    """
    if static:
        yield from proofs(chosen, None)
        return
    from grader.sandbox import choose, open_sandbox
    from hub.images import image_name

    limits = settings.grader.sandbox
    with contextlib.ExitStack() as opened:
        try:
            backend = limits.backend if limits.backend != "auto" else choose()
            if backend != "docker":
                click.echo(
                    "No Docker Engine answers: proving on this machine, not in the labs' images.", err=True
                )
            walls = {}
            for environment in dict.fromkeys(lab.environment for lab in chosen):
                image = image_name(settings, environment)
                click.echo(f"{environment}: {image if backend == 'docker' else backend}", err=True)
                walls[environment] = opened.enter_context(
                    contextlib.closing(open_sandbox(backend, limits, image=image))
                )
            yield from proofs(
                chosen,
                lambda lab, notebooks, seed: _grade(limits, walls[lab.environment], lab, notebooks, seed),
                jobs=jobs,
            )
        except SandboxError as error:
            raise click.ClickException(f"cannot prove here: {error}") from error


def _grade(
    limits: SandboxSettings, sandbox: Sandbox, lab: Lab, notebooks: Mapping[str, NotebookNode], seed: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Grade by the real engine, as a submission would be."""
    from grader.engine.standalone import grade_files

    files = {f"{name}.ipynb": notebook for name, notebook in notebooks.items()}
    marks: dict[str, float] = {}
    said: dict[str, str] = {}
    for mark in grade_files(lab, files, settings=limits, sandbox=sandbox, variant=seed).exercises:
        marks[mark.exercise] = marks.get(mark.exercise, 0) + (mark.points or 0)
        said[mark.exercise] = f"{said.get(mark.exercise, '')}\n{mark.message}"
    return marks, said


def _own_folder(settings: Settings) -> Path:
    """Where a site's own labs go."""
    return next((settings.root / folder for folder in settings.labs.folders), CATALOG)


def _library(settings: Settings) -> Library:
    return Library([settings.root / folder for folder in settings.labs.folders])


def _counts(lab: Lab) -> dict[str, float]:
    return {"exercises": len(lab.exercise), "points": lab.max_points}


def _table(rows: list[tuple[object, ...]]) -> None:
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo(
            "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _summary(chosen: list[Lab], made: list[Proof], seconds: float) -> None:
    rows: list[tuple[object, ...]] = [("LAB", "ENVIRONMENT", "PROOFS", "FAILED", "RESULT")]
    for lab in chosen:
        mine = [proof for proof in made if proof.lab == lab.name]
        failed = [proof.name for proof in mine if not proof.passed]
        rows.append((lab.name, lab.environment, len(mine), len(failed), ", ".join(failed) or "all proved"))
    _table(rows)
    click.echo(f"{len(made)} proofs in {seconds:.0f} s")


def _indented(text: str) -> str:
    return "\n".join(f"        {line}" for line in text.splitlines())
