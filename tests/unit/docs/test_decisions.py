"""Design decisions are pages: each is listed, and each that is cited exists (docs/decisions/README.md)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.fakes.checkout import files

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "decisions"

_CITED = re.compile(r"(?<![\w-])0\d{3}-[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_BY_NUMBER = re.compile(r"\bdecision[s]?[\s#]+\d+", re.IGNORECASE)
_LINK = re.compile(r"\]\((?:decisions/)?(0\d{3}-[a-z0-9-]+)\.md\)")


@cache
def texts() -> list[tuple[str, str]]:
    """The text files, by path."""
    read = ((name, (ROOT / name).read_bytes()) for name in files())
    return [(name, data.decode()) for name, data in read if b"\0" not in data]


def pages() -> list[str]:
    return sorted(file.stem for file in PAGES.glob("*.md") if file.stem != "README")


def test_numbers_have_neither_gap_nor_duplicate() -> None:
    assert [name[:4] for name in pages()] == [f"{number:04}" for number in range(1, len(pages()) + 1)]


def test_titles_bear_the_number_of_their_page() -> None:
    for name in pages():
        assert (PAGES / f"{name}.md").read_text().startswith(f"# {int(name[:4])}. "), name


def test_the_lists_have_each_page_once() -> None:
    for listing in (PAGES / "README.md", ROOT / "docs" / "architecture.md"):
        lines = [line for line in listing.read_text().replace("\n  ", " ").splitlines() if line.startswith("- [")]
        listed = [match[1] for line in lines if (match := _LINK.search(line))]
        assert listed == pages(), listing


def test_each_page_that_is_cited_exists() -> None:
    known = set(pages())
    missing = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1} cites {match[0]}, which is no page of docs/decisions"
        for name, text in texts()
        for match in _CITED.finditer(text)
        if match[0] not in known
    ]
    assert not missing, "\n".join(missing)


def test_no_decision_is_cited_by_its_number_alone() -> None:
    bare = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1} says {match[0]!r}: cite the page by its name"
        for name, text in texts()
        for match in _BY_NUMBER.finditer(text)
    ]
    assert not bare, "\n".join(bare)
