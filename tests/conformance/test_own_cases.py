"""What nbgrader's tests do not ask of an exchange, or ask in a way that cannot hold for ours."""

from __future__ import annotations

import importlib
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ictlab.exchange import client
from ictlab.exchange.client import Service
from ictlab.extension import LabRefused, open_lab
from nbformat.v4 import new_notebook, writes
from nbgrader.apps.api import NbGraderAPI
from nbgrader.apps.baseapp import NbGrader
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.assignment_list.handlers import AssignmentList
from nbgrader.tests import run_nbgrader
from nbgrader.utils import get_username
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
LOG = r"\[ListApp \| INFO\] "


def put_notebook(path: Path) -> None:
    """Write an empty notebook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(writes(new_notebook()), encoding="utf-8")


@pytest.fixture
def released(exchange: str, course_dir: str) -> str:
    """`ps1` released in abc101; returns the course folder."""
    put_notebook(Path(course_dir, "release", "ps1", "p1.ipynb"))
    run(["release_assignment", "ps1", "--course", "abc101"])
    return course_dir


def run(args: list[str], retcode: int = 0) -> str:
    """One command of nbgrader's."""
    client.forget()
    return str(run_nbgrader(args, retcode=retcode))


@pytest.mark.filterwarnings(
    "ignore:invalid escape sequence"
)  # in files of nbgrader's that we only look names up in
def test_every_listed_test_exists() -> None:
    """A name on the list of what cannot apply is the name of a test of nbgrader's."""
    module = importlib.import_module("nbgrader.tests.apps")
    classes = {}
    for path in Path(module.__path__[0]).glob("test_nbgrader_*.py"):
        loaded = importlib.import_module(f"nbgrader.tests.apps.{path.stem}")
        classes |= {name: value for name, value in vars(loaded).items() if name.startswith("TestNbGrader")}
    classes["TestEngine"] = classes["TestNbGraderAutograde"]  # its tests, under the name of what they judge

    for table in tomllib.loads((HERE / "not_applicable.toml").read_text(encoding="utf-8")).values():
        for name, reason in table.items():
            cls, method = re.sub(r"\[.*", "", name).split("::")
            assert callable(getattr(classes[cls], method)), name
            assert len(reason) > 20, name


def test_cached_lists_what_was_handed_in_here(released: str, student_server: str, cache: str) -> None:
    """`nbgrader list --cached` before and after two submissions."""
    flags = ["list", "ps1", "--cached", f"--Exchange.cache={cache}"]
    assert run(flags) == "[ListApp | INFO] Submitted assignments:\n"
    run(["fetch_assignment", "ps1", "--course", "abc101"])
    for _ in range(2):
        run(["submit", "ps1", "--course", "abc101", f"--Exchange.cache={cache}"])

    lines = run(flags).splitlines()

    assert len(lines) == 3
    for line in lines[1:]:
        assert re.fullmatch(
            LOG + rf"abc101 {get_username()} ps1 [0-9:. -]+ UTC \(no feedback available\)", line
        )


def test_a_new_home_gets_its_cache_back(released: str, student_server: str, cache: str) -> None:
    """A student whose home was lost still sees what was handed in."""
    run(["fetch_assignment", "ps1", "--course", "abc101"])
    run(["submit", "ps1", "--course", "abc101", f"--Exchange.cache={cache}"])
    before = run(["list", "--cached", f"--Exchange.cache={cache}"])

    shutil.rmtree(Path(cache, "abc101"))

    assert run(["list", "--cached", f"--Exchange.cache={cache}"]) == before
    (copy,) = Path(cache, "abc101").iterdir()
    assert (copy / "p1.ipynb").is_file()
    assert (copy / "receipt.txt").read_text().startswith("ICT1.")


def test_nobody_submits_as_somebody_else(released: str, service: Any) -> None:
    """`--student` of another person is refused, and nothing is handed in."""
    run(["fetch_assignment", "ps1", "--course", "abc101"])

    output = run(["submit", "ps1", "--course", "abc101", "--student", "foo"], retcode=1)

    assert "You cannot act as foo" in output
    assert service.store.submissions("abc101") == []


def test_submissions_are_never_removed(released: str, service: Any) -> None:
    """`list --inbound --remove` fails and removes nothing."""
    run(["fetch_assignment", "ps1", "--course", "abc101"])
    run(["submit", "ps1", "--course", "abc101"])

    output = run(["list", "--inbound", "--remove"], retcode=1)

    assert "Submissions are kept" in output
    assert len(service.store.submissions("abc101")) == 1


def test_a_refusal_of_the_service_reaches_the_terminal(released: str, service: Any) -> None:
    """The sentence of a 4xx is what the student reads."""
    run(["fetch_assignment", "ps1", "--course", "abc101"])
    service.store.withdraw("abc101", "ps1")

    assert "Assignment not found at: ps1" in run(["submit", "ps1", "--course", "abc101"], retcode=1)
    assert "You are not in course xyz999" in run(["fetch_assignment", "ps1", "--course", "xyz999"], retcode=1)


def test_a_service_that_is_down_is_said_so(student_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace back when nothing answers."""
    monkeypatch.setenv("ICTLABS_EXCHANGE_URL", "http://127.0.0.1:9/api/exchange")

    output = run(["list"], retcode=1)

    assert "cannot be reached" in output
    assert "Traceback" not in output


def test_assignment_list_fetches_and_submits(
    released: str, student_server: str, cache: str, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JupyterLab's Assignment List (its server side) through ours, with a folder for each course."""
    home = Path(student_server)
    config = home / "nbgrader_config.py"
    config.write_text(
        config.read_text().replace("path_includes_course = False", "path_includes_course = True")
        + f"c.Exchange.cache = {cache!r}\n"
    )
    manager = AssignmentList()
    manager.root_dir = str(home)
    client.forget()

    assert manager.list_courses() == {"success": True, "value": ["abc101"]}
    (offered,) = manager.list_assignments(course_id="abc101")["value"]
    assert (offered["status"], offered["notebooks"][0]["notebook_id"]) == ("released", "p1")

    assert manager.fetch_assignment("abc101", "ps1") == {"success": True}
    (fetched,) = manager.list_assignments(course_id="abc101")["value"]
    assert (fetched["status"], fetched["path"]) == ("fetched", "abc101/ps1")
    assert fetched["notebooks"] == [{"notebook_id": "p1", "path": "abc101/ps1/p1.ipynb"}]

    assert manager.submit_assignment("abc101", "ps1") == {"success": True}
    _, submitted = manager.list_assignments(course_id="abc101")["value"]
    assert (submitted["status"], len(submitted["submissions"])) == ("submitted", 1)
    (row,) = service.store.submissions("abc101")
    service.store.release_feedback(row.id, make_pages(home), "me")
    assert manager.fetch_feedback("abc101", "ps1") == {"success": True}
    _, submitted = manager.list_assignments(course_id="abc101")["value"]
    (submission,) = submitted["submissions"]
    assert submission["has_local_feedback"]
    assert (home / submission["local_feedback_path"] / "p1.html").read_text() == "<p>well done"


def make_pages(folder: Path) -> bytes:
    """Feedback on p1."""
    from ictlab.exchange.files import pack_folder

    pages = folder / "pages"
    pages.mkdir()
    (pages / "p1.html").write_text("<p>well done")
    return pack_folder(pages)


def test_formgrader_releases_collects_and_withdraws(
    released: str, student_server: str, course_dir: str, service: Any
) -> None:
    """What Formgrader's buttons call, through ours."""
    app = NbGrader()
    app.config_file_paths.append(student_server)
    app.load_config_file()
    config = Config(app.config)
    config.CourseDirectory.course_id = "abc101"
    client.forget()
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    put_notebook(Path(course_dir, "source", "ps2", "p1.ipynb"))
    put_notebook(Path(course_dir, "release", "ps2", "p1.ipynb"))

    assert api.exchange_is_functional
    assert api.release_assignment("ps2")["success"]
    assert api.get_released_assignments() == {"ps1", "ps2"}

    Service(service.url, "foo").submit("abc101", "ps2", make_pages(Path(student_server)))
    assert api.collect("ps2")["success"]
    collected = Path(course_dir, "submitted", "foo", "ps2")
    assert {path.name for path in collected.iterdir()} == {"p1.html", "timestamp.txt", "submission_id.txt"}

    assert api.unrelease("ps2")["success"]
    assert api.get_released_assignments() == {"ps1"}


def test_listing_again_at_once_asks_the_service_once(
    released: str, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formgrader lists on every request: answers are kept for a moment."""
    asked: list[str] = []
    original = client.requests.Session.request

    def count(self: Any, method: str, url: str, **rest: Any) -> Any:
        asked.append(url)
        return original(self, method, url, **rest)

    monkeypatch.setattr(client.requests.Session, "request", count)
    client.forget()
    for _ in range(5):
        Service(service.url, "me").releases("abc101")

    assert len(asked) == 1


def test_the_portal_s_start_fetches_the_lab_once(released: str, service: Any, tmp_path: Path) -> None:
    """What `ictlab/open` does: fetch when it is not there, never overwrite."""
    student = Service(service.url, "foo")
    home = tmp_path / "student-home"
    home.mkdir()

    assert open_lab(home, "abc101", "ps1", student) == Path("abc101/ps1/p1.ipynb")
    (home / "abc101/ps1/p1.ipynb").write_text("my work")
    assert open_lab(home, "abc101", "ps1", student) == Path("abc101/ps1/p1.ipynb")
    assert (home / "abc101/ps1/p1.ipynb").read_text() == "my work"

    for course, lab in (
        ("abc101", "../../etc"),
        ("..", "ps1"),
        ("abc101", "ps9"),
        ("xyz200", "ps1"),
        ("", ""),
    ):
        with pytest.raises(LabRefused):
            open_lab(home, course, lab, student)
    assert {path.name for path in home.iterdir()} == {"abc101"}
