"""The permission explorer reads modes in both forms, says them in words, and keeps its controls together."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ictlab.permissions import Mode, explore_mode
from nbclient import NotebookClient


def test_every_mode_is_written_as_ls_writes_it_and_read_back() -> None:
    for bits in range(0o10000):
        for kind, directory in ((stat.S_IFREG, False), (stat.S_IFDIR, True)):
            mode = Mode(bits, directory)

            assert mode.symbols() == stat.filemode(kind | bits)
            assert Mode(mode.symbols(), directory).bits == Mode(mode.octal(), directory).bits == bits


@pytest.mark.parametrize(
    "text", ["", "8", "64", "649", "77777", "rw-", "rwxrwxrwz", "-rwxrwxrwx-", "<b>", "rw-rw-rws"]
)
def test_what_is_no_mode_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no mode; write digits"):
        Mode(text)


@pytest.mark.parametrize(
    ("text", "directory", "said"),
    [
        ("666", False, "Everybody on this machine may change it."),
        ("744", True, "group: the names, but nothing behind them"),
        ("066", False, "Others may do more than the owner"),
        ("2770", True, "belongs to the directory's group"),
        ("1777", True, "only the owner of a file"),
        ("4755", False, "acts as its owner"),
    ],
)
def test_what_surprises_is_said(text: str, directory: bool, said: str) -> None:
    assert said in Mode(text, directory).text()


def test_a_mode_without_surprises_has_no_remarks() -> None:
    assert Mode("640").remarks() == []
    assert Mode("750", directory=True).remarks() == []
    assert Mode("640").rows()[0] == ("owner", "rw-", "4 + 2 = 6", "read it; change it")


def test_without_a_kernel_it_is_text() -> None:
    bundle = explore_mode("rwxr-x---")._repr_mimebundle_()

    assert set(bundle) == {"text/plain", "text/html"}
    assert "750" in bundle["text/plain"]


def test_in_a_kernel_boxes_and_fields_follow_each_other(tmp_path: Path) -> None:
    code = (
        "from ictlab.permissions import explore_mode\n"
        "one = explore_mode('640')\n"
        "*rows, kind, octal, letters, shown = one._box.children\n"
        "rows[2].children[0].value = True\n"
        "print('ticked', octal.value, letters.value)\n"
        "octal.value = '3770'\n"
        "print('digits', letters.value, [box.value for row in rows for box in row.children])\n"
        "letters.value = 'drwxr-x---'\n"
        "print('letters', octal.value, kind.value, 'list the names' in shown.value)\n"
        "octal.value = '<b>9'\n"
        "print('wrong', 'is no mode' in shown.value, '<b>' in shown.value)\n"
        "kind.value = False\n"
        "print('kind', octal.value, letters.value, 'is no mode' in shown.value)\n"
        "display(one)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs: list[Any] = notebook.cells[0].outputs
    printed = "".join(o.get("text", "") for o in outputs)
    shown = next(o.data for o in outputs if o.output_type == "display_data")

    assert printed.splitlines() == [
        "ticked 644 -rw-r--r--",
        f"digits -rwxrws--T {[True] * 6 + [False] * 3 + [False, True, True]}",
        "letters 750 True True",
        "wrong True False",
        "kind 750 -rwxr-x--- False",
    ]
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(shown)
