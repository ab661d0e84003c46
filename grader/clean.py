"""Makes what students made safe to show: in feedback pages, and in formgrader, which shows notebooks raw."""

from __future__ import annotations

import base64
import binascii
import copy
import functools
import html
import re

import nh3
from nbconvert.filters import markdown2html
from nbformat import NotebookNode

PICTURES = ("image/png", "image/jpeg")
MAX_MARKDOWN_CHARS = 100_000  # longer text is shown as it was typed
TAGS = nh3.ALLOWED_TAGS - {"img", "map", "area"}  # a picture elsewhere would tell who reads
LINKS = {"http", "https", "mailto"}
# Text without any of these holds no HTML and no link that could run something
SUSPECT = re.compile(r"<[A-Za-z/!?]|script\s*:|data\s*:|&", re.IGNORECASE)


def clean_html(text: str) -> str:
    """HTML with no script, style, form, picture or handler left in it."""
    return nh3.clean(text, tags=TAGS, url_schemes=LINKS)


@functools.lru_cache(maxsize=512)  # most of a notebook's text is the lab's own, the same in every submission
def markdown_html(text: str) -> str:
    """Markdown as cleaned HTML."""
    if len(text) > MAX_MARKDOWN_CHARS:
        return f"<pre>{html.escape(text)}</pre>"
    return clean_html(str(markdown2html(text)))


def picture(data: object) -> str | None:
    """The base64 of a picture, written anew, or None if it is anything else."""
    if not isinstance(data, str):
        return None
    try:
        return base64.b64encode(base64.b64decode("".join(data.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        return None


def displayable(notebook: NotebookNode) -> NotebookNode:
    """A copy that nbconvert and formgrader may show without cleaning of their own."""
    shown: NotebookNode = copy.deepcopy(notebook)
    for cell in shown.cells:
        if cell.cell_type == "raw":  # nbconvert puts raw cells into HTML as they are
            cell.cell_type = "markdown"
            cell.source = f"<pre>{html.escape(cell.source)}</pre>"
        elif cell.cell_type == "markdown" and SUSPECT.search(cell.source):
            pictures = "\n\n".join(f"![]({_attachment(name)})" for name in cell.get("attachments", {}))
            cell.source = f"{markdown_html(cell.source)}\n\n{pictures}".strip()
        for output in cell.get("outputs", []):
            _clean_output(output)
    return shown


def _attachment(name: str) -> str:
    return "attachment:" + re.sub(r"[^A-Za-z0-9._-]", "", name)


def _clean_output(output: NotebookNode) -> None:
    """Leave plain text, cleaned HTML and pictures: svg, javascript, latex and widgets can run something."""
    if "data" not in output:
        return
    kept = {}
    for mime, data in output.data.items():
        text = "".join(map(str, data)) if isinstance(data, list) else data
        if mime == "text/plain":
            kept[mime] = str(text)
        elif mime == "text/html" and isinstance(text, str):
            kept[mime] = clean_html(text)
        elif mime in PICTURES and (safe := picture(text)):
            kept[mime] = safe
    output.data = NotebookNode(kept)
    output.metadata = NotebookNode()
