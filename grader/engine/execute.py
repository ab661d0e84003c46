"""Runs a sanitised notebook with nbgrader's Execute, in bounds: a bad end costs what was not yet earned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import monotonic
from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellControlSignal, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode
from nbgrader import preprocessors as steps

from grader.engine.sanitise import scrubbed
from grader.sandbox.base import SandboxError
from grader.settings import SandboxSettings

MAX_MESSAGE_BYTES = 32 << 20  # one message; ipykernel gathers 0.2 s of prints into one
MAX_WAITING_MESSAGES = 8  # received and not yet looked at; more stay in the sandbox's own memory
MAX_RECEIVED_BYTES = 128 << 20  # all output of a notebook, kept or not
MAX_MESSAGES = 50_000  # and in how many messages
MAX_RESULT_CHARS = 20_000  # of an error or a result, which decide marks and so are kept
SHOWN = ("text/plain", "text/html", "image/png", "image/jpeg")  # kinds of output that are kept
MAX_DECIDING = 20  # of those in one cell; the first decides

ENDINGS = {
    "memory": "used more than the {memory_mb} MB of memory it may have",
    "pids": "started more than the {pids} processes and threads it may have",
    "disk": "wrote more than the {disk_mb} MB of files it may write",
    "time": "took longer than the {total_timeout_s} s the whole notebook may take",
    "killed": "ended Python (its kernel was killed)",
    "exited": "ended Python (exit, os._exit or a crash)",
}


class BoundedClient(AsyncKernelClient):
    """A kernel's client that cannot be made to hold much, nor to connect anywhere a second time."""

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        """Connect with limits, which zmq wants set before."""
        kinds = {"iopub": zmq.SUB, "hb": zmq.REQ}
        socket = self.context.socket(kinds.get(channel, zmq.DEALER))
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.RCVHWM, MAX_WAITING_MESSAGES)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        if identity:
            socket.identity = identity
        socket.connect(self._make_url(channel))
        return socket


class TooMuchOutput(Exception):
    """More was printed than is even received."""


class Execute(steps.Execute):
    """nbgrader's Execute with an end: after it, the checks that did not run earn nothing and say why.

    start_kernel: makes the manager of a fresh kernel in a sandbox.
    how_it_ended: the sandbox's reason (base.Exit.reason) once that kernel is gone.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        start_kernel: Callable[[], AsyncKernelManager],
        how_it_ended: Callable[[], str],
    ) -> None:
        super().__init__()
        self.settings = settings
        self.start_kernel = start_kernel
        self.how_it_ended = how_it_ended
        self.timeout_func = self._seconds_for
        self.skip_cells_with_tag = ""  # sanitising strips tags; this is the second lock on that door
        self.store_widget_state = False
        self.record_timing = False
        self.raise_on_iopub_timeout = True
        self.shutdown_kernel = "immediate"
        self.began = False
        self.end: str | None = None
        self.deadline = monotonic() + settings.total_timeout_s
        self.timed_out = False
        self.received_bytes = 0
        self.received_messages = 0
        self.kept_bytes = 0
        self.truncated = False

    def run(self, nb: NotebookNode) -> str | None:
        """Run `nb` in place. Returns what ended it early, as a sentence for the student, or None.

        Raises SandboxError when no kernel could be started: a fault of ours.
        """
        kernelspec = nb.metadata.get("kernelspec")
        try:
            self.preprocess(nb, {})
        except Exception as error:
            if not self.began:
                raise SandboxError(f"no kernel started: {error} (sandbox: {self.how_it_ended()})") from error
            raise
        nb.metadata.clear()  # the kernel's own words about itself
        nb.metadata.update({"language_info": {"name": "python"}})
        if kernelspec:
            nb.metadata["kernelspec"] = kernelspec
        return self.end

    def create_kernel_manager(self) -> AsyncKernelManager:
        """Use the sandbox's manager."""
        self.km = self.start_kernel()
        return self.km

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        """Run one cell; whatever goes wrong from now on is the submission's own."""
        self.began = True
        if cell.cell_type != "code":
            return cell, resources
        if self.end is None and self.deadline - monotonic() < 1:
            self.end = f"The notebook took longer than the {self.settings.total_timeout_s} s it may take."
        if self.end is None:
            self._run_cell(cell, index)
        if self.end is not None:
            void(cell, "NotRun", self.end)
        return cell, resources

    def _run_cell(self, cell: NotebookNode, index: int) -> None:
        self.timed_out = False
        try:
            self.execute_cell(cell, index, store_history=True)
        except TooMuchOutput:
            self.end = f"Cell {index + 1} printed more than {MAX_RECEIVED_BYTES >> 20} MB."
        except DeadKernelError:
            reason = ENDINGS.get(self.how_it_ended(), ENDINGS["exited"])
            self.end = f"Cell {index + 1} {reason.format(**self.settings.model_dump())}."
        except CellTimeoutError:
            limit_s = self.settings.cell_timeout_s
            self.end = (
                f"Cell {index + 1} ran longer than {limit_s} s and could not be interrupted."
                if self.timed_out
                else f"Cell {index + 1} printed too much at once; its output was cut off."
            )
        except (SandboxError, MemoryError):
            raise
        except Exception as error:  # only what runs in the kernel decides what arrives here
            self.end = f"Cell {index + 1} broke the connection to its kernel ({type(error).__name__})."
        finally:
            _tidy(cell)
        if self.end is not None and self.km is not None:
            self._kill()

    def _kill(self) -> None:
        async def kill() -> None:
            if self.km is not None and await ensure_async(self.km.is_alive()):
                await ensure_async(self.km.shutdown_kernel(now=True))

        try:
            run_sync(kill)()
        except RuntimeError as error:  # gone already
            self.log.debug("kernel was gone: %s", error)

    def _seconds_for(self, _cell: NotebookNode) -> int:
        left = int(self.deadline - monotonic())
        return max(1, min(self.settings.cell_timeout_s, left))

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> Any:
        """Interrupt as nbclient does, and remember that it was needed."""
        self.timed_out = True
        return await super()._async_handle_timeout(timeout, cell)

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: NotebookNode, cell_index: int) -> None:
        """Take messages until the cell is idle, and let others of this loop run between two of them."""
        while True:
            msg = await ensure_async(self.kc.iopub_channel.get_msg(timeout=None))
            await asyncio.sleep(0)
            self._count(msg)
            if msg["parent_header"].get("msg_id") != parent_msg_id:
                continue
            try:
                self.process_message(msg, cell, cell_index)
            except CellControlSignal:
                return

    def _count(self, msg: dict[str, Any]) -> None:
        self.received_messages += 1
        self.received_bytes += _size(msg.get("content"))
        if self.received_bytes > MAX_RECEIVED_BYTES or self.received_messages > MAX_MESSAGES:
            raise TooMuchOutput

    def _update_display_id(self, display_id: str, msg: dict[str, Any]) -> None:
        """Do nothing: one message could fill thousands of outputs. Displays decide no marks."""

    def handle_comm_msg(self, outs: list[NotebookNode], msg: dict[str, Any], cell_index: int) -> None:
        """Do nothing: nobody looks at widgets while grading."""

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Keep the first outputs that decide marks, cut; keep the rest as long as there is room."""
        made: NotebookNode | None = super().output(outs, msg, None, cell_index)
        if made is None:
            return None
        room = self.settings.max_output_kb * 1024
        if _decides(made):
            if sum(map(_decides, outs)) > MAX_DECIDING:
                outs.pop()
            else:
                _cut(made, MAX_RESULT_CHARS if self.kept_bytes < 2 * room else MAX_RESULT_CHARS // 40)
                self.kept_bytes += _size(made)
            return made
        self.kept_bytes += _size(made)
        if self.kept_bytes > room:
            outs.pop()
            if not self.truncated:
                self.truncated = True
                text = f"[More than {self.settings.max_output_kb} KB of output: the rest is not kept.]\n"
                outs.append(NotebookNode(output_type="stream", name="stdout", text=text))
        return made


def void(cell: NotebookNode, name: str, why: str) -> None:
    """Make `cell` count as failed for nbgrader, and say why, in front of whatever it printed."""
    cell.outputs.insert(
        0, NotebookNode(output_type="error", ename=name, evalue=why, traceback=[f"{name}: {why}"])
    )


def _decides(output: NotebookNode) -> bool:
    """Whether nbgrader's determine_grade looks at it; only the first such output of a cell counts."""
    return output.output_type in ("error", "execute_result") or output.get("name") == "stderr"


def _cut(output: NotebookNode, chars: int) -> None:
    """Shorten `output` to about `chars`."""
    if output.output_type == "error":
        output.ename = str(output.ename)[:200]
        output.evalue = str(output.evalue)[:chars]
        lines = output.traceback if isinstance(output.traceback, list) else []
        output.traceback = "\n".join(str(line)[:chars] for line in lines[:100])[:chars].split("\n")
    elif output.output_type == "execute_result":
        data = output.data if isinstance(output.data, dict) else {}
        if _size(data) > chars:
            data = {"text/plain": str(data.get("text/plain", ""))[:chars]}
        output.data = NotebookNode(data)
        output.metadata = NotebookNode()
    elif output.output_type == "stream":
        output.text = str(output.text)[:chars]


def _size(value: Any) -> int:
    """Bytes of `value` as JSON, near enough."""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return len(value["text"]) + 100
    return len(json.dumps(value, default=str))


def _plain(output: NotebookNode) -> NotebookNode:
    """`output` of a kernel with nothing in it but storable text of the kinds that are shown."""
    made = NotebookNode(output_type=output.output_type)
    if output.output_type == "stream":
        made.name = "stderr" if output.name == "stderr" else "stdout"
        made.text = scrubbed(str(output.text))
        return made
    if output.output_type == "error":
        _cut(output, MAX_RESULT_CHARS)  # also the one that nbgrader's Execute adds at the end
        made.ename, made.evalue = scrubbed(output.ename), scrubbed(output.evalue)
        made.traceback = [scrubbed(line) for line in output.traceback]
        return made
    made.data = NotebookNode(
        {
            mime: scrubbed(text)
            for mime, text in output.data.items()
            if mime in SHOWN and isinstance(text, str)
        }
    )
    made.metadata = NotebookNode()
    if output.output_type == "execute_result":
        count = output.get("execution_count")
        made.execution_count = count if isinstance(count, int) else None
    return made


def _tidy(cell: NotebookNode) -> None:
    """Make the outputs storable and bounded, whatever the kernel sent."""
    try:
        cell.outputs = [_plain(output) for output in cell.outputs]
    except (RecursionError, AttributeError, TypeError, ValueError):
        cell.outputs = []
        void(cell, "Unreadable", "What this cell printed could not be read.")
    if not isinstance(cell.get("execution_count"), int):
        cell["execution_count"] = None
