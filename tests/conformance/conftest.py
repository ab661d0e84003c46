"""Lets nbgrader's own tests run against our exchange: its fixtures, and a view of the service as a shared folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ictlab.exchange import client
from ictlab.exchange.client import Service
from ictlab.exchange.files import pack_folder, unpack
from nbgrader.utils import get_username, notebook_hash

from grader.models import Base

HERE = Path(__file__).resolve().parent
COURSES = ("abc101", "abc102", "xyz200")  # the names in nbgrader's tests
ME = get_username()  # nbgrader's tests are student and instructor in one
PLUGINS = HERE.parent.parent / "images" / "base" / "etc" / "jupyter" / "nbgrader_config.py"


def load_service() -> ModuleType:
    """tests/exchange_service.py."""
    spec = importlib.util.spec_from_file_location("exchange_service", HERE.parent / "exchange_service.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def not_applicable() -> dict[str, str]:
    """Listed tests and why."""
    tables = tomllib.loads((HERE / "not_applicable.toml").read_text(encoding="utf-8"))
    return {name: reason for table in tables.values() for name, reason in table.items()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Listed tests must fail. What nbgrader itself is warned about is not ours to mend."""
    listed = not_applicable()
    for item in items:
        if HERE in item.path.parents and (reason := listed.get(item.nodeid.partition("::")[2])):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if item.path.name == "test_nbgrader_exchange.py":
            item.add_marker(pytest.mark.filterwarnings("ignore"))


class View:
    """The service's content as the folder that nbgrader's tests look into.

    Files are 0600: their modes mean nothing here. Pages of feedback that a test changes are released again.
    """

    def __init__(self, folder: Path, service: Service, run: Any) -> None:
        self.folder, self.service, self.run = folder, service, run
        self.secrets: dict[str, str] = {}  # submission id -> the secret of a submission made by hand
        self.pages: dict[Path, tuple[dict[str, Any], bytes]] = {}

    def before(self, args: list[str], course_folder: Path) -> None:
        """Tell the service what the test did by hand."""
        for page, (row, content) in list(self.pages.items()):
            if page.is_file() and page.read_bytes() != content:
                self._release_page(row, page)
        if args[0] == "release_feedback" and len(args) > 3:
            for folder in course_folder.glob("feedback/*/ps1"):
                self._adopt(course_folder, folder)
        client.forget()

    def after(self) -> None:
        """Show what the service has now."""
        client.forget()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pages.clear()
        for course in COURSES:
            for name in ("outbound", "inbound", "feedback"):
                (self.folder / course / name).mkdir(parents=True)
        for row in self.service.releases():
            archive = self.service.release_archive(row["course"], row["lab"])
            unpack(archive, self.folder / row["course"] / "outbound" / row["lab"])
        for row in self.service.submissions(everybody=True):
            self._show_submission(row)
        for path in self.folder.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)

    def _show_submission(self, row: dict[str, Any]) -> None:
        timestamp = row["received_at"].replace("T", " ").replace("+00:00", " UTC")
        folder = (
            self.folder
            / row["course"]
            / "inbound"
            / f"{row['username']}+{row['lab']}+{timestamp}+{row['id']}"
        )
        unpack(self.service.submission_archive(row), folder)
        (folder / "timestamp.txt").write_text(timestamp)
        if row["feedback"]:
            unpacked = self.folder / row["id"]
            unpack(self.service.feedback_archive(row), unpacked)
            secret = self.secrets.get(row["id"], row["id"])
            for page in unpacked.iterdir():
                shown = (
                    self.folder
                    / row["course"]
                    / "feedback"
                    / (notebook_hash(secret=secret, notebook_id=page.stem) + ".html")
                )
                page.rename(shown)
                self.pages[shown] = (row | {"page": page.name}, shown.read_bytes())
            unpacked.rmdir()

    def _release_page(self, row: dict[str, Any], page: Path) -> None:
        changed = page.with_name(row["id"])
        changed.mkdir()
        shutil.copyfile(page, changed / row["page"])
        self.service.release_feedback(row["course"], row["lab"], row["id"], pack_folder(changed))
        shutil.rmtree(changed)

    def _adopt(self, course_folder: Path, folder: Path) -> None:
        """Hand in, as the student, a submission that a test put into the course folder by hand."""
        secret, identity = folder / "submission_secret.txt", folder / "submission_id.txt"
        student, lab = folder.parent.name, folder.name
        if not secret.is_file() or identity.is_file():
            return
        self.service.release("abc101", lab, pack_folder(course_folder / "release" / lab), force=True)
        taken = Service(self.run.url, student).submit(
            "abc101", lab, pack_folder(course_folder / "submitted" / student / lab)
        )
        identity.write_text(taken["id"])
        self.secrets[taken["id"]] = secret.read_text()


@pytest.fixture(scope="session")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One process for all tests."""
    groups = [f"{kind}-{course}" for course in COURSES for kind in ("nbgrader", "formgrade")]
    people = {"me": (ME, groups)} | {name: (name, ["nbgrader-abc101"]) for name in ("foo", "bar", "baz")}
    with load_service().running(tmp_path_factory.mktemp("service"), people, {"max_per_hour": 9999}) as run:
        yield run


@pytest.fixture
def service(running_service: Any) -> Any:
    """The service with an empty record and nbgrader's courses."""
    with running_service.store.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    for course in COURSES:
        running_service.store.create_course(course)
    client.forget()
    return running_service


@pytest.fixture
def course_dir(tmp_path: Path) -> str:
    """nbgrader's fixture."""
    (tmp_path / "course").mkdir()
    return str(tmp_path / "course")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """nbgrader's fixture."""
    return f"sqlite:///{tmp_path / 'nbgrader_test.db'}"


@pytest.fixture
def cache(tmp_path: Path) -> str:
    """nbgrader's fixture."""
    (tmp_path / "cache").mkdir()
    return str(tmp_path / "cache")


@pytest.fixture
def fake_home_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """nbgrader's fixture."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return str(tmp_path / "home")


@pytest.fixture
def temp_cwd(tmp_path: Path, course_dir: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """nbgrader's fixture, with the plug-ins as students' servers have them."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        f"load_subconfig({str(PLUGINS)!r})\n"
        "c.Exchange.path_includes_course = False  # as nbgrader's tests expect it\n"
        f"c.CourseDirectory.root = {course_dir!r}\n"
    )
    return str(folder)


@pytest.fixture
def student_server(tmp_path: Path, temp_cwd: str, service: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a server that the hub started: address of the exchange, token, name. Returns its folder."""
    for name, value in (
        ("ICTLABS_EXCHANGE_URL", service.url),
        ("JUPYTERHUB_API_TOKEN", "me"),
        ("JUPYTERHUB_USER", ME),
        ("USER", ME),
        ("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}"),  # nbgrader calls `alembic` by name
        ("JUPYTER_CONFIG_DIR", str(tmp_path / "config")),
        ("JUPYTER_DATA_DIR", str(tmp_path / "data")),
    ):
        monkeypatch.setenv(name, value)
    return temp_cwd


@pytest.fixture
def exchange(
    tmp_path: Path,
    course_dir: str,
    student_server: str,
    service: Any,
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    """nbgrader's fixture: the view of the service. Commands of nbgrader's tests run with its address."""
    view = View(tmp_path / "exchange", Service(service.url, "me"), service)
    view.after()
    module = sys.modules[request.cls.__module__] if request.cls else request.module
    original: Callable[..., str] = module.run_nbgrader

    def run_nbgrader(args: list[str], *rest: Any, **named: Any) -> str:
        environment = os.environ  # nbgrader puts a copy in its place, which no later change would reach
        view.before(args, Path(course_dir))
        try:
            return original(args, *rest, **named)
        finally:
            os.environ = environment  # noqa: B003 (the very object back)
            view.after()

    module.run_nbgrader = run_nbgrader  # type: ignore[attr-defined]
    yield str(view.folder)
    module.run_nbgrader = original  # type: ignore[attr-defined]
