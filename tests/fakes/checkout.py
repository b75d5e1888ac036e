"""The checkout's own files, without asking git: a copy of the tree is tested too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MADE = {"__pycache__", "build", "dist", "bin", "models"}
"""Folders that what runs here makes."""


def files(*endings: str) -> Iterator[str]:
    """Paths from the root, in order: of those with one of these endings, or of all."""
    for file in sorted(ROOT.rglob("*")):
        path = file.relative_to(ROOT)
        hidden = any((part.startswith(".") and part != ".ci") or part.endswith(".egg-info") for part in path.parts)
        if hidden or _MADE & set(path.parts) or not file.is_file():
            continue
        if not endings or file.name.endswith(endings):
            yield path.as_posix()
