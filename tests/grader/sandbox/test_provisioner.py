"""A kernel in a sandbox, started as stock tools start one: by a kernelspec on JUPYTER_PATH."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from grader.sandbox.base import SandboxError

Run = Callable[[str], str]


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def boxed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernelspec that starts its kernels in a sandbox."""
    config: dict[str, Any] = {"backend": request.param, "memory_mb": 384, "disk_mb": 32}
    if request.param == "docker":
        config["image"] = request.getfixturevalue("base_image")
    write_spec(tmp_path, config)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("ICTLABS_SECRET", "swordfish")
    return "boxed"


def write_spec(folder: Path, config: dict[str, Any]) -> None:
    """Write the kernelspec `boxed` below a folder that JUPYTER_PATH names."""
    spec = folder / "kernels" / "boxed"
    spec.mkdir(parents=True)
    stanza = {"kernel_provisioner": {"provisioner_name": "ictlabs-sandbox", "config": config}}
    text = {"argv": ["python3"], "display_name": "Boxed", "language": "python", "metadata": stanza}
    (spec / "kernel.json").write_text(json.dumps(text))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A submission that tries to run in place of the kernel, and has a module to import."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "module.py").write_text("answer = 42")
    for name in ("ipykernel_launcher", "ipykernel", "runpy", "json", "sitecustomize"):
        (folder / f"{name}.py").write_text("raise SystemExit('hijacked')")
    return folder


@pytest.fixture
def manager(boxed: str, work: Path) -> Iterator[KernelManager]:
    """A running kernel's manager."""
    running = KernelManager(kernel_name=boxed)
    running.start_kernel(cwd=str(work))
    yield running
    running.shutdown_kernel(now=True)


@pytest.fixture
def run(manager: KernelManager) -> Iterator[Run]:
    """Run a cell, return what it printed."""
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def cell(code: str) -> str:
        said: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            said.append(content.get("text", "") or content.get("evalue", ""))

        client.execute_interactive(code, timeout=60, output_hook=take)
        return "".join(said)

    cell.client = client  # type: ignore[attr-defined]
    yield cell
    client.stop_channels()


def test_cells_run_inside_with_the_notebooks_own_folder(run: Run) -> None:
    assert run("import module, os; print(module.answer, os.getcwd())") == "42 /home/student/work\n"
    assert run("print('ICTLABS_SECRET' in os.environ, os.getpid() < 10)") == "False True\n"


def test_a_cell_cannot_touch_the_sockets(run: Run, manager: KernelManager) -> None:
    leaf = Path(manager.ip).parent
    assert len(manager.ip) + 2 <= 107
    assert "Read-only file system" in run(f"open('{leaf}/fill', 'w')")
    assert "Read-only file system" in run(f"import os; os.remove('{leaf}/k-1')")
    assert leaf.parent.stat().st_mode & 0o777 == 0o700  # nobody else on the host gets near them


def test_an_interrupt_stops_a_cell_and_the_kernel_lives(run: Run, manager: KernelManager) -> None:
    client = run.client  # type: ignore[attr-defined]
    client.execute("x = 1\nprint('running', flush=True)\nwhile True: pass", stop_on_error=False)
    while client.get_iopub_msg(timeout=20)["content"].get("text") != "running\n":
        pass
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
    assert run("print(x)") == "1\n"


def test_a_restart_is_a_fresh_run(run: Run, manager: KernelManager) -> None:
    run("x = 1; open('left.txt', 'w').close()")
    manager.restart_kernel(now=True)
    run.client.wait_for_ready(timeout=60)  # type: ignore[attr-defined]
    assert run("import os; print('x' in dir(), os.path.exists('left.txt'))") == "False False\n"


def test_a_dead_kernel_is_seen_and_its_reason_kept(run: Run, manager: KernelManager) -> None:
    run.client.execute("x = bytearray(600 << 20)")  # type: ignore[attr-defined]
    provisioner: Any = manager.provisioner
    ended = provisioner.run.wait(30)
    assert ended is not None
    assert ended.reason == "memory"
    assert not manager.is_alive()


def test_nothing_is_left_on_the_host(boxed: str, work: Path) -> None:
    manager = KernelManager(kernel_name=boxed)
    manager.start_kernel(cwd=str(work))
    leaf = Path(manager.ip).parent
    assert leaf.exists()
    manager.shutdown_kernel(now=True)
    assert not leaf.parent.exists()
    assert not Path(manager.connection_file).exists()


def test_a_sandbox_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(tmp_path, {"backend": "docker"})  # no image
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    manager = KernelManager(kernel_name="boxed")
    with pytest.raises(SandboxError, match="needs an image"):
        manager.start_kernel(cwd=str(tmp_path))
