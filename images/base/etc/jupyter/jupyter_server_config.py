"""Jupyter's server for students and instructors: which of nbgrader's extensions it loads."""

import json
import os
from pathlib import Path

c = get_config()  # noqa: F821 (traitlets gives it to configuration files)


def _teaches() -> bool:
    try:
        return any(row["role"] == "instructor" for row in json.loads(os.environ.get("ICTLABS_COURSES", "[]")))
    except (ValueError, KeyError, TypeError):
        return False


c.ServerApp.jpserver_extensions = {
    "ictlab.extension": True,
    # ictlab.extension loads these two when they are first used
    "nbgrader.server_extensions.assignment_list": False,
    "nbgrader.server_extensions.validate_assignment": False,
    "nbgrader.server_extensions.formgrader": _teaches(),
    # It asks the hub for the other formgraders of a shared folder; courses are in the portal.
    "nbgrader.server_extensions.course_list": False,
    # No environment has a language server; JupyterLab's own part of it is off in labconfig/page_config.json.
    "jupyter_lsp": False,
}
if not _teaches():
    # JupyterLab reads its own configuration along this path: students have no menu entry of Formgrader.
    _students = str(Path(__file__).resolve().parent / "students")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        filter(None, (_students, os.environ.get("JUPYTER_CONFIG_PATH")))
    )

# Answers about new versions come from outside, where students' servers cannot reach.
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = None

# A style sheet of the student's own for Notebook, which is nearly always empty and which each page waits for.
c.JupyterNotebookApp.custom_css = False
