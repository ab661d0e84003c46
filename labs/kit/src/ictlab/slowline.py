"""Sends JupyterLab's pages over a slow line: compressed, and kept in the browser for ever where a name has its hash.

The image has its large files compressed beside them (FILE.br, FILE.gz), as small as they get, at no cost when they are
sent. Everything else is compressed while it is sent. What the pages ask for after that, one thing after another, the
extension in labs/kit/labextension asks for at once.
"""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_path
from jupyter_server.base.handlers import FileFindHandler
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, GZipContentEncoding

FOR_EVER = "public, max-age=31536000, immutable"
_HASHED = re.compile(
    r"[./][0-9a-f]{16,}\.\w+$"
)  # as webpack names what it makes: jlab_core.8811dd2733d03721.js
_A_DAY = "public, max-age=86400"  # the page's icon, which changes with each cell that runs
_CODINGS = {
    "br": ".br",
    "gzip": ".gz",
}  # the smaller one first; browsers take br by TLS and on their own machine
_OWN = ("same-origin", "none")  # our own pages, or the address bar
_PARTIAL = 206


class Compression(GZipContentEncoding):
    """Compresses an answer for a browser that takes it, unless another site made the browser ask.

    JupyterLab's page has the student's token in it, and its own address. If another site could ask for it with guesses in
    the address, the length of the compressed page would tell whether a guess is right (the attack BREACH).
    """

    def __init__(self, request: HTTPServerRequest) -> None:
        """See who asks."""
        super().__init__(request)
        self._gzipping = self._gzipping and request.headers.get("Sec-Fetch-Site", "none") in _OWN

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Leave a part of a file as it is: it is counted in bytes of the file."""
        self._gzipping = self._gzipping and status_code != _PARTIAL
        return super().transform_first_chunk(status_code, headers, chunk, finishing)


class StaticFiles(FileFindHandler):
    """Jupyter's static files, the compressed one where there is one."""

    _asked = ""
    _coding = ""

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Find the file that is sent in place of the one that was asked for."""
        found = super().validate_absolute_path(root, absolute_path)
        if found is None:
            return None
        self._asked = found
        taken = {
            each.split(";")[0].strip() for each in self.request.headers.get("Accept-Encoding", "").split(",")
        }
        for coding, ending in _CODINGS.items():
            if coding in taken and Path(found + ending).is_file():
                self._coding = coding
                return super().validate_absolute_path(root, found + ending)
        return found

    def get_content_type(self) -> str:
        """Return the type of what was asked for."""
        return mimetypes.guess_type(self._asked)[0] or "application/octet-stream"

    def set_headers(self) -> None:
        """Say how it is compressed, and how long it may be kept."""
        super().set_headers()
        if self._coding:
            self.set_header("Content-Encoding", self._coding)
        if _HASHED.search(self._asked):
            self.set_header("Cache-Control", FOR_EVER)
        elif self._asked.endswith(".ico"):
            self.set_header("Cache-Control", _A_DAY)
        elif "v" not in self.request.arguments:
            self.set_header("Cache-Control", "no-cache")


def offer(server_app: Any) -> None:
    """Let the server send like this; to be called before JupyterLab and Notebook add their addresses."""
    web_app = server_app.web_app
    web_app.add_transform(Compression)
    web_app.settings["static_handler_class"] = StaticFiles
    base, icons = web_app.settings["base_url"], web_app.settings["static_path"]
    extensions = {"path": jupyter_path("labextensions"), "follow_dir_symlinks": True}
    more = [
        (url_path_join(base, "lab", "extensions", "(.*)"), StaticFiles, extensions),
        (url_path_join(base, "static", "(favicons/.*)"), StaticFiles, {"path": icons}),
    ]
    Application.add_handlers(web_app, ".*$", more)
