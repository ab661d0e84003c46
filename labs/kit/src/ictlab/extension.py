"""JupyterLab's server opens a lab: fetches it into the home if it is not there, starts its kernel, shows its notebook."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import IOLoop

from ictlab import assignments, slowline
from ictlab.exchange.client import Service, ServiceError
from ictlab.exchange.files import UnsafeArchive, unpack_new
from ictlab.grading import use_the_site
from ictlab.visitors import watch_visitors

# One part of a path, never hidden and never up; the service checks the names again, more strictly.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,62}[A-Za-z0-9_-])?")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The lab could not be opened</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style></head>
<body><h1>The lab could not be opened</h1><p>{message}</p>
<p><a href="{again}">Try again</a> or <a href="{lab}">open JupyterLab without it</a>. Your files are safe.</p>
</body></html>"""


class LabRefused(Exception):
    """The lab cannot be opened; the message is for the student."""


def open_lab(root: Path, course: str, lab: str, service: Service | None = None) -> Path:
    """Make sure that `lab` is at root/course/lab; return its notebook's path relative to `root`.

    What is there already is never touched. Raises LabRefused.
    """
    for name in (course, lab):
        if not _NAME.fullmatch(name) or ".." in name:
            raise LabRefused(f"There is no lab {lab!r} in a course {course!r}. Open it from the portal.")
    folder = root / course / lab
    try:
        if not folder.is_dir():
            archive = (service or Service.from_environment()).release_archive(course, lab)
            unpack_new(archive, folder)
    except ServiceError as error:
        raise LabRefused(str(error)) from error
    except UnsafeArchive as error:
        raise LabRefused(f"The lab's archive was not unpacked: {error}") from error
    except FileExistsError:
        pass  # another tab was quicker
    except OSError as error:
        raise LabRefused(
            f"The lab could not be written to your home ({error.strerror}). Is it full? Delete what you do not need."
        ) from error
    notebooks = sorted(path.name for path in folder.glob("*.ipynb"))
    if not notebooks:
        raise LabRefused(
            f"There is no notebook in {course}/{lab}. Rename that folder, then open the lab again."
        )
    wanted = f"{lab}.ipynb"
    return Path(course, lab, wanted if wanted in notebooks else notebooks[0])


def kernel_of(notebook: Path) -> str:
    """The name of the kernel that a notebook asks for; "" if it names none."""
    try:
        return str(json.loads(notebook.read_bytes())["metadata"]["kernelspec"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class OpenLab(JupyterHandler):
    """GET ictlab/open?course=&lab=&view= : the address that the portal's Start leads to.

    view: `notebook` for Notebook 7, one document without JupyterLab around it; else JupyterLab.
    """

    @web.authenticated
    async def get(self) -> None:
        """Fetch in a thread, then lead on to the notebook."""
        course, lab = self.get_query_argument("course", ""), self.get_query_argument("lab", "")
        root = Path(self.settings["server_root_dir"]).expanduser()
        try:
            path = await IOLoop.current().run_in_executor(None, open_lab, root, course, lab)
        except LabRefused as error:
            self._explain(str(error))
            return
        await self._start_kernel(root, str(path))
        view = "notebooks" if self.get_query_argument("view", "") == "notebook" else "lab/tree"
        self.redirect(url_path_join(self.base_url, view, quote(str(path))))

    async def _start_kernel(self, root: Path, path: str) -> None:
        """Begin with the kernel now: it is there when the page is, which takes its own for what the notebook has."""
        name = kernel_of(root / path)
        if name not in self.kernel_spec_manager.find_kernel_specs():
            return
        try:
            if not await self.session_manager.session_exists(path):
                await self.session_manager.create_session(
                    path=path, name=Path(path).name, type="notebook", kernel_name=name
                )
        except Exception:
            self.log.exception("ictlab: the kernel of %s did not start; JupyterLab tries again", path)

    def _explain(self, message: str) -> None:
        self.set_status(409)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(
            _PAGE.format(
                message=html.escape(message),
                again=html.escape(self.request.uri or ""),
                lab=html.escape(url_path_join(self.base_url, "lab")),
            )
        )


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "ictlab.extension"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Add our address to the server."""
    pattern = url_path_join(server.web_app.settings["base_url"], "ictlab", "open")
    server.web_app.add_handlers(".*$", [(pattern, OpenLab)])
    assignments.offer(server)
    slowline.offer(server)
    watch_visitors(server)
    if os.environ.get("ICTLABS_EXCHANGE_URL"):
        IOLoop.current().call_later(0, use_the_site)  # when every other extension is loaded, Formgrader too
    else:
        server.log.warning("ictlab: ICTLABS_EXCHANGE_URL is not set; labs cannot be fetched or handed in")
