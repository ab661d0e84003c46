"""Reads a lab's text as a student with a screen reader, or little English, would: what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from labs.model import Lab

LONGEST_SENTENCE = 35  # words; plain-language guides ask for 15 to 20 on average
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_IMG_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|TBD|TBA|lorem ipsum)\b", re.IGNORECASE)
_COLOURS = "red|green|blue|yellow|orange|purple|grey|gray|pink"
_BY_COLOUR = re.compile(
    rf"\b(?:(?:shown|marked|drawn|printed|coloured|colored) in|in the) (?:{_COLOURS})\b(?! ?\()"
    rf"|\bthe (?:{_COLOURS}) (?:one|line|box|cell|bar|part|text|row)(?:s|es)?\b",
    re.IGNORECASE,
)
_EMPTY_LINK = re.compile(r"\[(here|click here|this|link)\]\(", re.IGNORECASE)
_HINT = re.compile(r"<summary>\s*Hint\b", re.IGNORECASE)


def problems(lab: Lab, source: NotebookNode) -> list[str]:
    """Say what is wrong with the text of a lab; an empty list is what it should be."""
    text = "\n\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
    plain = _FENCE.sub("", text)
    found = [*_headings(lab, plain), *_pictures(plain), *_hints(lab, source), *_sentences(plain)]
    for cell in source.cells:
        found += [
            f"cell {cell.id}: unfinished: {word!r}" for word in sorted(set(_UNFINISHED.findall(cell.source)))
        ]
    found += [
        f"meaning by colour alone: {m.group(0)!r}. Name it by word or shape."
        for m in _BY_COLOUR.finditer(plain)
    ]
    found += [
        f"a link that says only {m.group(1)!r}. Name where it goes." for m in _EMPTY_LINK.finditer(plain)
    ]
    return found


def _headings(lab: Lab, text: str) -> Iterator[str]:
    headings = [(len(m.group(1)), m.group(2)) for m in _HEADING.finditer(text)]
    before = 0
    for level, title in headings:
        if level > before + 1:
            yield f"heading {title!r} is of level {level} after level {before}. Go down one level at a time."
        if level == 1 and before:
            yield f"heading {title!r}: a second title. Use `##`."
        before = level
    exercises = [title for level, title in headings if level == 2]
    for exercise in lab.exercise:
        if exercise.title not in exercises:
            yield f"exercise {exercise.id} has no heading `## {exercise.title}`."


def _pictures(text: str) -> Iterator[str]:
    for match in _IMAGE.finditer(text):
        if len(match.group(1).split()) < 3:
            yield f"picture {match.group(0)[:60]!r}: say between the brackets what it shows, in three words."
    for match in _IMG_TAG.finditer(text):
        if not re.search(r"""\balt\s*=\s*["'][^"']{8,}""", match.group(0), re.IGNORECASE):
            yield f"picture {match.group(0)[:60]!r}: has no alt text that says what it shows."


def _hints(lab: Lab, source: NotebookNode) -> Iterator[str]:
    """Two or three hints in the text above each answer cell, one inside the other."""
    since: list[str] = []
    for cell in source.cells:
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and not meta:
            since.append(cell.source)
        if not meta.get("solution"):
            continue
        text = "\n".join(since)
        since = []
        if not 2 <= (count := len(_HINT.findall(text))) <= 3:
            yield f"exercise {meta['grade_id']} has {count} hints above its answer cell; give two or three."
        if text.count("<details") != text.count("</details>"):
            yield f"exercise {meta['grade_id']}: a <details> is not closed, so all that follows is hidden."
        elif count > 1 and re.search(r"<details.*?</details>\s*<details", text, re.DOTALL):
            yield f"exercise {meta['grade_id']}: hints stand side by side; put each inside the one before."


def _sentences(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.)\s)", text):
        if block.lstrip().startswith(("|", "<", "#", "    ")):
            continue
        for sentence in re.split(r"(?<=[.!?:;])\s+", re.sub(r"`[^`]*`", "x", block)):
            if (count := len(sentence.split())) > LONGEST_SENTENCE:
                yield f"a sentence of {count} words: {' '.join(sentence.split()[:8])} … Make it two."
