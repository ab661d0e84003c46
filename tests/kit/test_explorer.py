"""The explorers say in words what they show, take half-typed addresses, and never trust text as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from ictlab.explorer import Plan, Reading, explore_plan, explore_prefix
from nbclient import NotebookClient


@pytest.mark.parametrize(
    ("text", "bits", "hosts"),
    [
        ("192.168.10.77/26", "11000000.10101000.00001010.01|001101", "192.168.10.65 to 192.168.10.126: 62"),
        ("10.0.0.0/8", "00001010.|00000000.00000000.00000000", "10.0.0.1 to 10.255.255.254: 16,777,214"),
        ("0.0.0.0/0", "|00000000.00000000.00000000.00000000", "0.0.0.1 to 255.255.255.254: 4,294,967,294"),
        ("10.0.0.1/32", "00001010.00000000.00000000.00000001|", None),
    ],
)
def test_reading(text: str, bits: str, hosts: str | None) -> None:
    rows = dict(Reading(text).rows())

    assert rows["In bits, network | host"] == bits
    assert rows.get("For hosts") == hosts


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.256/8", "10.0.0.1/33", "<b>/8", "::1/64"])
def test_what_is_no_prefix_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="prefix length"):
        Reading(text)


def test_plan_names_every_fault() -> None:
    subnets = {
        "A": "10.0.0.0/25",
        "B": "10.0.0.64/26",
        "C": "10.0.1.0/26",
        "D": "10.0.0.130/26",
        "E": "10.0.0.192/30",
    }
    said = "\n".join(Plan("10.0.0.0/24", subnets, {"E": 3}).remarks())

    for part in (
        "A and B overlap",
        "C: 10.0.1.0/26 is not inside",
        "D: 10.0.0.130/26 has host bits",
        "E: needs 3 hosts",
    ):
        assert part in said


def test_plan_without_faults_has_no_remarks_and_knows_what_is_free() -> None:
    plan = Plan("10.0.0.0/24", {"A": "10.0.0.0/25", "B": "10.0.0.128/26"}, {"A": 126})

    assert plan.remarks() == []
    assert list(map(str, plan.free())) == ["10.0.0.192/26"]
    assert plan.bar() == "A" * 32 + "B" * 16 + "." * 16


def test_overlap_is_a_mark_not_a_colour() -> None:
    plan = Plan("10.0.0.0/24", {"A": "10.0.0.0/25", "B": "10.0.0.64/26"})

    assert plan.bar() == "A" * 16 + "!" * 16 + "." * 32
    assert "color" not in plan.html()


def test_two_small_subnets_in_one_cell_of_the_bar_are_no_overlap() -> None:
    plan = Plan("10.0.0.0/16", {"A": "10.0.0.0/30", "B": "10.0.0.4/30"})

    assert plan.bar().startswith("A.")


def test_names_are_not_html() -> None:
    page = Plan("10.0.0.0/24", {"<script>alert(1)</script>": "10.0.0.0/25", "x": "<img src=x>"}).html()

    assert "<script>" not in page
    assert "<img" not in page


def test_without_a_kernel_it_is_text() -> None:
    for explorer in (explore_prefix(), explore_plan("10.0.0.0/24", {"A": "10.0.0.0/25"})):
        bundle = explorer._repr_mimebundle_()

        assert set(bundle) == {"text/plain", "text/html"}
        assert "/2" in bundle["text/plain"]


def test_in_a_kernel_it_is_a_widget_that_follows_its_fields(tmp_path: Path) -> None:
    code = (
        "from ictlab.explorer import explore_plan, explore_prefix\n"
        "one = explore_prefix('10.0.0.1/24')\n"
        "one._box.children[1].value = 30\n"
        "two = explore_plan('10.0.0.0/24', {'A': '10.0.0.0/25', 'B': '10.0.0.128/25'})\n"
        "two._box.children[1].value = 'nonsense'\n"
        "print(one._shown.value, two._shown.value)\n"
        "display(one)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs: list[Any] = notebook.cells[0].outputs
    printed = "".join(o.get("text", "") for o in outputs)
    shown = next(o.data for o in outputs if o.output_type == "display_data")

    assert "10.0.0.1 to 10.0.0.2: 2" in printed
    assert "B: Expected 4 octets" in printed
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(shown)
