"""The committed pictures are those that docs/pictures/ draws of the code as it is."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures.__main__ import PICTURES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_is_as_it_is_drawn(name: str) -> None:
    drawn = PICTURES[name]()
    ElementTree.fromstring(drawn)
    assert (DOCS / name).read_text() == drawn, f"docs/{name} is not of this code: run make docs"
