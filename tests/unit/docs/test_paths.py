"""What is written for readers names only files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]

_FILE = re.compile(r"`((?:charts|deployer|docs|examples|gateway|loadtests|locks|protos|tests)/[\w./-]+\.\w+)`")
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)")


def test_files_that_are_named_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)} names {name}"
        for page in PAGES
        for name in _FILE.findall(page.read_text())
        if not (ROOT / name).exists()
    ]
    assert not missing, "\n".join(missing)


def test_files_that_are_linked_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)} links {name}"
        for page in PAGES
        for name in _LINK.findall(page.read_text())
        if not (page.parent / name).exists()
    ]
    assert not missing, "\n".join(missing)
