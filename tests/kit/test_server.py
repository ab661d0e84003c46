"""The start of a person's server: JupyterHub's own program without a hub's parts, and nbgrader when it is first used."""

from __future__ import annotations

import subprocess
import sys

HEAD = "import sys; from ictlab import server; main = server.load()\n"


def said(code: str, head: str = HEAD) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", head + code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_program_is_jupyterhubs_own_without_the_hubs_database_pages_and_metrics() -> None:
    code = "print(main.__self__.__name__, *sorted({'sqlalchemy', 'alembic', 'oauthlib', 'nbgrader'} & set(sys.modules)))"

    assert said(code) == "JupyterHubSingleUser"


def test_who_imports_one_of_them_later_gets_the_real_one() -> None:
    code = "import sqlalchemy, jupyterhub.orm, jupyterhub.handlers\nprint(sqlalchemy.select.__module__, jupyterhub.orm.User.__tablename__, jupyterhub.handlers.BaseHandler.__name__)"

    assert said(code) == "sqlalchemy.sql._selectable_constructors users BaseHandler"


def test_a_jupyterhub_that_wants_more_of_them_is_imported_in_the_ordinary_way() -> None:
    head = (
        "import sys; from ictlab import server\n"
        "server.STAND_INS = server.STAND_INS | {'jupyterhub.metrics': {}}\nmain = server.load()\n"
    )

    assert said("print(callable(main), 'sqlalchemy' in sys.modules)", head) == "True True"


def test_no_authorities_are_read_at_the_start_and_who_needs_them_later_has_them() -> None:
    head = (
        "import ssl\nread = []\nssl.SSLContext.set_default_verify_paths = lambda *_: read.append(1)\n"
        "from ictlab import server\nmain = server.load()\n"
    )

    assert said("print(len(read))\nssl.create_default_context()\nprint(len(read))", head) == "0\n1"


def test_the_servers_own_options_are_understood() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ictlab.server", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip().startswith("6.")
