"""The committed pictures are those that docs/pictures.py draws of the code as it is."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PICTURES = runpy.run_path(str(DOCS / "pictures.py"))["PICTURES"]


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_is_as_it_is_drawn(name: str) -> None:
    drawn = PICTURES[name]()
    ElementTree.fromstring(drawn)
    assert (DOCS / name).read_text() == drawn, f"docs/{name} is not of this code: run make docs"
