"""The glossary's words stand in the order of the alphabet, each with a file (docs/glossary.md)."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ENTRY = re.compile(r"^- \*\*(.+?)\*\* · (.+?) `([\w/.]+)`$", re.MULTILINE)


def entries() -> list[re.Match[str]]:
    text = (ROOT / "docs" / "glossary.md").read_text().replace("\n  ", " ")
    assert text.count("\n- **") == len(ENTRY.findall(text)), "an entry is `- **word** · A sentence. `module``"
    return list(ENTRY.finditer(text))


def test_words_stand_once_and_in_order() -> None:
    words = [entry[1].lower() for entry in entries()]
    assert words == sorted(set(words))
