"""Prose is wrapped at 120 columns, so that a change of a sentence shows as one of a line or two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
WIDTH = 120

_FENCE = re.compile(r"\s*(```|~~~)")
_LEFT = re.compile(r"\s*(#|\||!\[)")
_MARK = re.compile(r"\s*([-*+]|\d+[.)])?\s+")
_CODE = re.compile(r"`[^`]+`")


def too_long(text: str) -> Iterator[tuple[int, int]]:
    """Lines of prose that are longer and could be broken: their numbers and lengths. Tables, code, headings and
    pictures are not prose, and code between backquotes stays whole."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line) is not None
        fenced ^= fence
        if fenced or fence or _LEFT.match(line) or len(line) <= WIDTH:
            continue
        words = _CODE.sub("code", _MARK.sub("", line, count=1) if _MARK.match(line) else line).split()
        if len(words) > 1:
            yield number, len(line)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a " * 60, []),
        ("b " * 60 + "b", [(1, 121)]),
        ("\n- " + "a " * 60, [(2, 122)]),
        ("| " + "a " * 60 + "|", []),
        ("# " + "a " * 60, []),
        ("```\n" + "a " * 70 + "\n```\n" + "a " * 70, [(4, 140)]),
        ("  - [a](" + "b" * 120 + ")", []),
        ("`" + "a " * 70 + "`", []),
    ],
)
def test_what_is_too_long(text: str, found: list[tuple[int, int]]) -> None:
    assert list(too_long(text)) == found


def test_prose_is_wrapped() -> None:
    found = [
        f"{page.relative_to(ROOT)}:{number}: {length} columns; wrap it at {WIDTH}"
        for page in PAGES
        for number, length in too_long(page.read_text())
    ]
    assert not found, f"{len(found)} lines:\n" + "\n".join(found)


def test_comments_of_the_makefile_are_wrapped() -> None:
    lines = enumerate((ROOT / "Makefile").read_text().splitlines(), 1)
    found = [f"Makefile:{number}" for number, line in lines if line.startswith("#") and len(line) > WIDTH]
    assert not found, f"{', '.join(found)}: wrap the comment at {WIDTH} columns"
