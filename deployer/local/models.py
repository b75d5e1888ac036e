"""Where a version's model lies on this machine, checked before anything is started."""

from __future__ import annotations

from pathlib import Path

from deployer.errors import nearest
from deployer.runtimes.base import ModelMissing
from deployer.runtimes.registry import RUNTIMES


def located(runtime: str, path: Path) -> Path:
    """What a runtime loads of the model at `path`.

    Raises:
        ModelMissing: it isn't there, or can't be told.
    """
    if not path.exists():
        near = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else None
        there = f"did you mean {path.parent / near}?" if near else _first_missing(path)
        raise ModelMissing(f"{path}: no such model; {there}")
    return RUNTIMES[runtime].located(path)


def _first_missing(path: Path) -> str:
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    return f"{missing.parent} has nothing called {missing.name}"
