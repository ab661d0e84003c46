"""Runs a sanitised notebook cell by cell as nbclient would, in bounds: a bad end costs what was not yet earned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils

from grader.engine.canaries import Canaries
from grader.engine.outputs import MAX_RECEIVED_BYTES, Outputs, Room, TooMuchOutput, error
from grader.engine.sanitise import scrubbed
from grader.sandbox.kernels import KernelEnded, LiveKernel, TooLarge, Unresponsive
from grader.settings import SandboxSettings

GRACE_S = 4  # for an interrupted cell to end, as nbclient waits for the last outputs

# what reading a message may end in that ipykernel would never send
ODD = (RecursionError, AttributeError, KeyError, TypeError, ValueError)

ENDINGS = {
    "memory": "used more than the {memory_mb} MB of memory it may have",
    "pids": "started more than the {pids} processes and threads it may have",
    "disk": "wrote more than the {disk_mb} MB of files it may write",
    "time": "took longer than the {total_timeout_s} s the whole notebook may take",
    "killed": "ended Python (its kernel was killed)",
    "exited": "ended Python (exit, os._exit or a crash)",
}


@dataclass(frozen=True)
class Executed:
    """How a run went. end: what ended it early, as a sentence for the student, or None.

    evidence: sentences for the instructor why a person should look. reason: the sandbox's, if the kernel ended.
    """

    end: str | None
    evidence: tuple[str, ...] = ()
    reason: str = ""


def execute(
    nb: NotebookNode, start: Callable[[], LiveKernel], settings: SandboxSettings, canaries: Canaries
) -> Executed:
    """Run `nb` in place in a kernel that `start` gives; none is started when no cell has code.

    Raises SandboxError when no kernel could be started: a fault of ours.
    """
    run = _Execution(start, settings, canaries)
    try:
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code" and cell.metadata.get("ictlabs", {}).get("last"):
                run.put_off(cell, index)
            elif cell.cell_type == "code":
                run.cell(cell, index)
        run.put_off_checks()
        run.last_canaries()
    finally:
        run.close()
    kernelspec = nb.metadata.get("kernelspec")
    nb.metadata.clear()
    nb.metadata.update({"language_info": {"name": "python"}})
    if kernelspec:
        nb.metadata["kernelspec"] = kernelspec
    return Executed(run.end, tuple(dict.fromkeys(run.evidence)), run.reason)


class _Execution:
    """One notebook in one kernel."""

    def __init__(
        self, start: Callable[[], LiveKernel], settings: SandboxSettings, canaries: Canaries
    ) -> None:
        self.start, self.settings, self.canaries = start, settings, canaries
        self.kernel: LiveKernel | None = None
        self.room = Room(settings.max_output_kb)
        self.deadline = monotonic() + settings.total_timeout_s
        self.end: str | None = None
        self.reason = ""
        self.evidence: list[str] = []
        self.count = 0
        self.later: list[tuple[NotebookNode, int]] = []
        self.names_of: int | None = None

    def cell(self, cell: NotebookNode, index: int) -> None:
        """Run one cell, and a canary before it where one is planted."""
        cell.execution_count = None
        cell.outputs = []
        if self.end is None and self.deadline - monotonic() < 1:
            self.end = f"The notebook took longer than the {self.settings.total_timeout_s} s it may take."
            self.reason = "time"
        check = utils.is_grade(cell) and not utils.is_solution(cell)
        if self.end is None and check and (canary := self.canaries.before()):
            self._canary(canary.code, canary.fault, index)
        if self.end is None and cell.source.strip():
            outputs = Outputs(self.room)
            self.end = self._run(cell, index, outputs, check=check)
            cell.outputs = outputs.found
            if check:
                self.canaries.saw(cell)
                if outputs.results > 1:
                    self.evidence.append(
                        f"Cell {index + 1}, a check, had more than one result: code of the submission showed one itself."
                    )
        if self.end is not None:
            void(cell, "NotRun", self.end)
            self.close()

    def put_off(self, cell: NotebookNode, index: int) -> None:
        """Keep the names as they are here for a check that runs last: nothing of the submission sees its text before."""
        self.later.append((cell, index))
        if self.end is None and self.kernel is not None:
            with contextlib.suppress(Unresponsive, TooLarge, KernelEnded):  # the next cell says so
                self.kernel.keep(index)

    def put_off_checks(self) -> None:
        """Run the checks that were put off, each with the names of its place."""
        for cell, index in self.later:
            self.names_of = index
            self.cell(cell, index)
        self.names_of = None

    def _run(self, cell: NotebookNode, index: int, outputs: Outputs, *, check: bool) -> str | None:
        """Run the cell; return why nothing can run after it, or None."""
        limit_s = max(1, min(self.settings.cell_timeout_s, int(self.deadline - monotonic())))
        name = f"Cell {index + 1}"
        try:
            reply = self._ask(cell.source, outputs.take, index, check=check, timeout_s=limit_s)
        except TooMuchOutput:
            return f"{name} printed more than {MAX_RECEIVED_BYTES >> 20} MB."
        except (TooLarge, *ODD):
            return f"{name} printed too much at once, or broke the connection to its kernel."
        except Unresponsive:
            return f"{name} ran longer than {self.settings.cell_timeout_s} s and could not be interrupted."
        except KernelEnded as ended:
            self.reason = ended.exit.reason
            ending = ENDINGS.get(self.reason, ENDINGS["exited"])
            return f"{name} {ending.format(**self.settings.model_dump())}."
        count = reply.get("execution_count")
        cell.execution_count = count if isinstance(count, int) else None
        if self.kernel is not None and self.kernel.timed_out:
            outputs.fail("CellTimeoutError", f"It ran longer than {limit_s} s.")
        elif reply.get("status") == "error":
            failed = str(reply.get("ename"))[:200]
            if not any(o.output_type == "error" and o.ename == failed for o in outputs.found):
                outputs.take("error", reply)
        return None

    def _ask(
        self,
        code: str,
        heard: Callable[[str, dict[str, Any]], None],
        index: int,
        *,
        check: bool,
        timeout_s: float,
    ) -> dict[str, Any]:
        if self.kernel is None:
            self.kernel = self.start()
        self.count += 1
        reply = self.kernel.run(
            self.count,
            code,
            check=check,
            names_of=self.names_of,
            timeout_s=timeout_s,
            grace_s=GRACE_S,
            heard=heard,
        )
        tampered = reply.get("tampered")
        if isinstance(tampered, list) and tampered:
            told = scrubbed(" ".join(one[:200] for one in tampered[:5] if isinstance(one, str)))
            where = f"in cell {index + 1} or before it" if index >= 0 else "in the notebook"
            self.evidence.append(f"What checks rest on was changed {where}: {told}")
        return reply

    def _canary(self, code: str, fault: Callable[[NotebookNode], str], index: int) -> None:
        """Run a secret cell; one that does not come back as it must is evidence and costs nothing."""
        outputs = Outputs(Room(64))
        left_s = self.deadline - monotonic()
        try:
            reply = self._ask(code, outputs.take, index, check=True, timeout_s=max(1, min(5, left_s)))
        except KernelEnded as ended:
            self.end = f"Python ended before cell {index + 1}."
            self.reason = ended.exit.reason
            return
        except (TooMuchOutput, TooLarge, Unresponsive, *ODD):
            self.end = f"Python did not answer before cell {index + 1}."
            return
        if reply.get("status") == "error" and not any(o.output_type == "error" for o in outputs.found):
            outputs.take("error", reply)
        if said := fault(NotebookNode(outputs=outputs.found)):
            self.evidence.append(said)

    def last_canaries(self) -> None:
        """Run checks again with another expected value: one that passes as well does not look at the answer."""
        if self.end is not None or self.kernel is None or self.deadline - monotonic() < 2:
            return
        for canary in self.canaries.after():
            if self.end is None:
                self._canary(canary.code, canary.fault, -1)
        self.end = None  # whatever a canary ended, every cell had run

    def close(self) -> None:
        """End the kernel."""
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None


def void(cell: NotebookNode, name: str, why: str) -> None:
    """Make `cell` count as failed for nbgrader, and say why, in front of whatever it printed."""
    cell.outputs.insert(0, error(name, why))
