"""Finds pieces of solutions and hidden checks in what students get: code and literals."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from nbformat import NotebookNode

from labs.model import Lab, LabError

_REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)[^\n]*\n(.*?)### END \1", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\d./:]*\d|\d|[^\w\s]")
_WORD = re.compile(r"[A-Za-z_]\w*$|\d")
_LITERAL = re.compile(r"""(["'])([^"'\n]*\d[^"'\n]*)\1|(?<![\w.])(\d{3,})(?![\w.])""")
# Below this a line is what anybody would write (`for host in hosts:`): finding it shows nothing.
_WORDS_THAT_MATTER = 6


def leaks(source: NotebookNode, release: NotebookNode, files: Mapping[str, str]) -> list[str]:
    """Name every piece of a solution or hidden check that is in the release or in `files` (name -> text)."""
    shown = {
        f"cell {cell.get('id', number)}": cell.source for number, cell in enumerate(release.cells, 1)
    } | {f"data/{name}": text for name, text in files.items()}
    streams = {where: _stream(text) for where, text in shown.items()}
    openly = {where: _stream(text) for where, text in _visible_checks(source)}
    found = []
    for what, text in _regions(source):
        for piece in map(str, _pieces(text)):
            stream = _stream(piece)
            for where, there in streams.items():
                # both checks of an exercise prepare in the same lines: written openly in a visible check, no leak
                prepares = what.startswith("the hidden") and stream in openly.get(where, "")
                if stream in there and not prepares:
                    found.append(f"{where}: has a piece of {what}: {piece!r}")
    return found + list(_answers_in_checks(source, release, files))


def secret_pieces(source: NotebookNode) -> int:
    """Count the pieces that `leaks` looks for."""
    return sum(len(list(_pieces(text))) for _, text in _regions(source))


def release_is_valid(lab: Lab, release: NotebookNode) -> None:
    """Refuse a release whose Python cells do not parse: the student could not even run them untouched."""
    for cell in release.cells:
        if cell.cell_type != "code" or cell.source.startswith("%%"):
            continue
        lines = ["pass" if line.startswith(("%", "!", "?")) else line for line in cell.source.split("\n")]
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            raise LabError(
                f"{lab.text}: cell {cell.get('id', '')}: without its solution line {error.lineno} is not valid Python: "
                f"{error.msg}. Give the function a docstring, or put more inside the marks."
            ) from error


def _regions(source: NotebookNode) -> Iterator[tuple[str, str]]:
    for cell in source.cells:
        for match in _REGION.finditer(cell.source):
            of = cell.metadata.get("nbgrader", {}).get("grade_id", "a cell")
            yield ("the solution of " if match.group(1) == "SOLUTION" else "the hidden ") + of, match.group(2)


def _visible_checks(source: NotebookNode) -> Iterator[tuple[str, str]]:
    """The parts of check cells outside hidden marks, as the author wrote them."""
    for number, cell in enumerate(source.cells, 1):
        if _is_check(cell):
            yield f"cell {cell.get('id', number)}", _REGION.sub("", cell.source)


def _pieces(text: str) -> Iterator[str]:
    """The lines of `text` that matter, and whole statements, which may have been wrapped differently."""
    seen = set()
    for piece in [*text.splitlines(), *_statements(text)]:
        stream = _stream(piece)
        if piece.lstrip().startswith(("import ", "from ", "#", "%%")) or stream in seen:
            continue
        words = [token for token in stream.split() if _WORD.match(token)]
        if len(words) >= _WORDS_THAT_MATTER and len(set(words)) >= _WORDS_THAT_MATTER - 1:
            seen.add(stream)
            yield piece.strip()


def _statements(text: str) -> Iterable[str]:
    lines = text.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    try:
        tree = ast.parse("\n".join(line[margin:] for line in lines))
    except SyntaxError:  # SQL, shell, or the inside of something: lines must do
        return []
    simple = (ast.Assign, ast.Return, ast.Expr, ast.AugAssign, ast.AnnAssign)
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, simple)]


def _stream(text: str) -> str:
    """Write a text as its tokens, so that spaces, line ends and kinds of quotes do not matter."""
    return " " + " ".join(_TOKEN.findall(text.replace('"', "'"))) + " "


def _answers_in_checks(
    source: NotebookNode, release: NotebookNode, files: Mapping[str, str]
) -> Iterator[str]:
    """A literal of a solution that only a visible check shows is the answer, for everybody to copy."""
    checks = {c.metadata["nbgrader"]["grade_id"]: c.source for c in release.cells if _is_check(c)}
    open_text = "\n".join([*(c.source for c in release.cells if not _is_check(c)), *files.values()])
    for cell in source.cells:
        meta = cell.metadata.get("nbgrader", {})
        if not meta.get("solution") or cell.cell_type != "code":
            continue
        for match in _REGION.finditer(cell.source):
            for literal in _literals(match.group(2)):
                for check, text in checks.items():
                    if literal in _literals(text) and literal not in open_text:
                        yield f"{check}: shows {literal!r}, an answer of {meta['grade_id']}. Hide it."


def _literals(text: str) -> set[str]:
    found = {match.group(2) or match.group(3) for match in _LITERAL.finditer(text)}
    return {literal for literal in found if len(literal) >= 3}


def _is_check(cell: NotebookNode) -> bool:
    meta = cell.metadata.get("nbgrader", {})
    return bool(meta.get("grade") and not meta.get("solution"))
