"""What a cell gave, as nbformat's outputs: bounded while it comes in, storable, and nothing but what is shown."""

from __future__ import annotations

import json
from typing import Any

from nbformat import NotebookNode

from grader.engine.sanitise import scrubbed

MAX_RECEIVED_BYTES = 128 << 20  # all output of a notebook, kept or not
MAX_MESSAGES = 50_000  # and in how many messages
MAX_RESULT_CHARS = 20_000  # of an error or a result, which decide marks and so are kept
MAX_DECIDING = 20  # of those in one cell; the first decides
SHOWN = ("text/plain", "text/html", "image/png", "image/jpeg")  # kinds of output that are kept


class TooMuchOutput(Exception):
    """More was printed than is even received."""


class Room:
    """How much of a notebook's output is still received and kept."""

    def __init__(self, max_output_kb: int) -> None:
        self.max_output_kb = max_output_kb
        self.received_bytes = 0
        self.received_messages = 0
        self.kept_bytes = 0
        self.truncated = False

    def count(self, content: dict[str, Any]) -> int:
        """Take note of a message; return its size in bytes. Raises TooMuchOutput."""
        size = _size(content)
        self.received_messages += 1
        self.received_bytes += size
        if self.received_bytes > MAX_RECEIVED_BYTES or self.received_messages > MAX_MESSAGES:
            raise TooMuchOutput
        return size


class Outputs:
    """The outputs of one cell, gathered from the kernel's messages as nbclient does."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.found: list[NotebookNode] = []
        self.results = 0
        self._clear_next = False

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Add one message. What cannot be an output is left out."""
        size = self.room.count(content)
        if kind == "clear_output":
            if content.get("wait"):
                self._clear_next = True
            else:
                self.found.clear()
            return
        made = _output(kind, content)
        if made is None:
            return
        if self._clear_next:
            self.found.clear()
            self._clear_next = False
        if kind == "execute_result":
            self.results += 1
        self._keep(made, size)

    def fail(self, name: str, why: str, traceback: list[str] | None = None) -> None:
        """Add an error at the end."""
        self.found.append(error(name, why, traceback))

    def _keep(self, made: NotebookNode, size: int) -> None:
        room = self.room.max_output_kb * 1024
        if _decides(made):
            if sum(map(_decides, self.found)) < MAX_DECIDING:
                _cut(made, MAX_RESULT_CHARS if self.room.kept_bytes < 2 * room else MAX_RESULT_CHARS // 40)
                self.room.kept_bytes += _size(made)
                self._append(made)
            return
        self.room.kept_bytes += size
        if self.room.kept_bytes <= room:
            self._append(made)
        elif not self.room.truncated:
            self.room.truncated = True
            text = f"[More than {self.room.max_output_kb} KB of output: the rest is not kept.]\n"
            self.found.append(NotebookNode(output_type="stream", name="stdout", text=text))

    def _append(self, made: NotebookNode) -> None:
        last = self.found[-1] if self.found else None
        if (
            made.output_type == "stream"
            and last is not None
            and last.output_type == "stream"
            and last.name == made.name
        ):
            last.text += made.text
        else:
            self.found.append(made)


def error(name: str, why: str, traceback: list[str] | None = None) -> NotebookNode:
    """An error output."""
    return NotebookNode(
        output_type="error", ename=name, evalue=why, traceback=traceback or [f"{name}: {why}"]
    )


def _output(kind: str, content: dict[str, Any]) -> NotebookNode | None:
    """One output with nothing in it but storable text of the kinds that are shown."""
    if kind == "stream":
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return NotebookNode(output_type="stream", name=name, text=_clean(content.get("text", "")))
    if kind == "error":
        lines = content.get("traceback")
        return NotebookNode(
            output_type="error",
            ename=_clean(content.get("ename", "")),
            evalue=_clean(content.get("evalue", "")),
            traceback=[_clean(line) for line in lines[:100]] if isinstance(lines, list) else [],
        )
    if kind not in ("execute_result", "display_data"):
        return None
    data = content.get("data")
    shown = {mime: _clean(data[mime]) for mime in SHOWN if mime in data} if isinstance(data, dict) else {}
    made = NotebookNode(output_type=kind, data=NotebookNode(shown), metadata=NotebookNode())
    if kind == "execute_result":
        count = content.get("execution_count")
        made.execution_count = count if isinstance(count, int) else None
    return made


def _clean(text: object) -> str:
    return scrubbed(text if isinstance(text, str) else str(text)[:MAX_RESULT_CHARS])


def _decides(output: NotebookNode) -> bool:
    """Whether nbgrader's determine_grade looks at it; only the first such output of a cell counts."""
    return output.output_type in ("error", "execute_result") or output.get("name") == "stderr"


def _cut(output: NotebookNode, chars: int) -> None:
    """Shorten `output` to about `chars`."""
    if output.output_type == "error":
        output.ename = output.ename[:200]
        output.evalue = output.evalue[:chars]
        output.traceback = "\n".join(line[:chars] for line in output.traceback)[:chars].split("\n")
    elif output.output_type == "execute_result":
        if _size(output.data) > chars:
            output.data = NotebookNode({"text/plain": output.data.get("text/plain", "")[:chars]})
    elif output.output_type == "stream":
        output.text = output.text[:chars]


def _size(value: Any) -> int:
    """Bytes of `value` as JSON, near enough."""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return len(value["text"]) + 100
    return len(json.dumps(value, default=str))
