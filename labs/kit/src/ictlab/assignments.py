"""nbgrader's Assignment List and Validate in a person's server: loaded when they are first used, not at each start.

Importing them takes a third of a server's start (nbgrader's applications, its database, its migrations), and JupyterLab
asks them for nothing until somebody opens the list or presses Validate.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPServerRequest
from tornado.routing import PathMatches, Router, Rule
from tornado.web import Application

ADDRESSES = r"(assignments|courses|nbgrader_version)(/.*)?$"


class AtFirstRequest(Router):
    """Answers nothing itself: lets nbgrader add its own handlers, which stand behind this rule and are tried next."""

    def __init__(self, server_app: Any) -> None:
        """Remember the server."""
        self.server_app = server_app
        self.loaded = False

    def find_handler(self, request: HTTPServerRequest, **_options: Any) -> None:
        """Load them once."""
        if not self.loaded:
            self.loaded = True
            from nbgrader.server_extensions import assignment_list, validate_assignment

            assignment_list.load_jupyter_server_extension(self.server_app)
            validate_assignment.load_jupyter_server_extension(self.server_app)


def offer(server_app: Any) -> None:
    """Let the server answer where nbgrader's extensions do."""
    web_app = server_app.web_app
    below = PathMatches(url_path_join(web_app.settings["base_url"], "/") + ADDRESSES)
    # Jupyter's own add_handlers takes handlers only; it looks at nbgrader's when they are added
    Application.add_handlers(web_app, ".*$", [Rule(below, AtFirstRequest(server_app))])
