"""What every sandbox's kernels owe: ready at once, apart from each other, in bounds, and replaced when their zygote dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from grader.sandbox.base import Limits, Sandbox
from grader.sandbox.kernels import KernelEnded, Kernels, LiveKernel, Unresponsive

LIMITS = Limits(memory_mb=256, pids=64, disk_mb=32, cpus=1.0, wall_s=60)


@pytest.fixture
def kernels(sandbox: Sandbox) -> Iterator[Kernels]:
    """Kernels that find `wave` loaded."""
    made = sandbox.kernels(LIMITS, preload=["wave", "no_such_module"], slots=2)
    yield made
    made.close()


def run(
    kernel: LiveKernel, code: str, *, check: bool = False, timeout_s: float = 20
) -> tuple[str, dict[str, Any]]:
    """What the cell printed, and how it ended."""
    said: list[str] = []
    done = kernel.run(
        1, code, check=check, timeout_s=timeout_s, grace_s=2,
        heard=lambda kind, content: said.append(str(content.get("text", content.get("data", {}).get("text/plain", "")))),
    )  # fmt: skip
    return "".join(said), done


def test_a_kernel_has_its_files_and_modules_and_nobody_elses(kernels: Kernels) -> None:
    one, other = kernels.start({"data/a.txt": b"one"}), kernels.start({})
    try:
        run(one, "open('mine', 'w').write('x'); x = 1")
        said, _ = run(
            one, "import sys, os\nprint(open('data/a.txt').read(), 'wave' in sys.modules, os.getuid() != 0)"
        )
        assert said.split() == ["one", "True", "True"]
        said, done = run(
            other, "import os\nprint(os.listdir('.'), [p for p in os.listdir('/proc') if p.isdigit()])\nx"
        )
        assert said.startswith("[] ['1', '2']")
        assert done["ename"] == "NameError"
    finally:
        one.close()
        other.close()


def test_errors_results_and_what_subprocesses_print_come_back(kernels: Kernels) -> None:
    kernel = kernels.start({})
    assert run(kernel, "6 * 7")[0] == "42"
    assert run(kernel, "import os; os.system('echo out; echo err >&2');")[0].split() == ["out", "err"]
    assert run(kernel, "1 / 0")[1]["ename"] == "ZeroDivisionError"
    assert run(kernel, "await __import__('asyncio').sleep(0.01)\nprint('slept')")[0] == "slept\n"
    kernel.close()


def test_a_cell_that_takes_too_long_is_interrupted_and_the_next_one_runs(kernels: Kernels) -> None:
    kernel = kernels.start({})
    done = run(kernel, "import time; time.sleep(30)", timeout_s=0.5)[1]
    assert (done["ename"], kernel.timed_out) == ("KeyboardInterrupt", True)
    assert run(kernel, "print('on')")[0] == "on\n"
    with pytest.raises(Unresponsive):
        run(kernel, "import signal; signal.signal(2, signal.SIG_IGN); time.sleep(30)", timeout_s=0.5)
    kernel.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(3)", "exited"),
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("x = [bytearray(1 << 20) for _ in range(3000)]", "memory"),
    ],
)
def test_an_end_has_its_reason_and_leaves_the_others_alone(kernels: Kernels, code: str, reason: str) -> None:
    other = kernels.start({})
    kernel = kernels.start({})
    with pytest.raises(KernelEnded) as ended:
        run(kernel, code)
    assert ended.value.exit.reason == reason
    assert run(other, "print('alive')")[0] == "alive\n"
    kernel.close()
    other.close()


def test_a_zygote_that_died_is_replaced(kernels: Kernels) -> None:
    kernels.start({}).close()
    zygote = kernels._zygote
    assert zygote is not None
    zygote[0].kill()
    kernel = kernels.start({})
    assert run(kernel, "print('again')")[0] == "again\n"
    kernel.close()


def test_without_fork_every_kernel_is_fresh(sandbox: Sandbox) -> None:
    made = sandbox.kernels(LIMITS, preload=["wave"], fork=False)
    kernel = made.start({"a.txt": b"a"})
    assert run(kernel, "import sys; print('wave' in sys.modules, open('a.txt').read())")[0] == "False a\n"
    kernel.close()
    made.close()


def test_closing_ends_what_still_runs(kernels: Kernels) -> None:
    kernel = kernels.start({})
    run(kernel, "import subprocess; p = subprocess.Popen(['sleep', '1234.5'], start_new_session=True)")
    began = time.monotonic()
    kernel.close()
    assert kernel.ended().reason in ("exited", "killed")
    assert time.monotonic() - began < 10
