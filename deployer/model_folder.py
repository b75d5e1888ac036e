"""Whether a model's folder is there and holds what its runtime loads."""

from __future__ import annotations

import os
from itertools import islice

from deployer.errors import nearest

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_MOST_NAMES = 1000


def lack(path: str, runtime: object) -> tuple[str, str] | None:
    """What is wrong with the folder at `path` (absolute) and what would be right; None if it looks loadable."""
    if not os.path.isdir(path):
        what = "is a file, not a folder" if os.path.exists(path) else "does not exist"
        return f"the model folder {path} {what}", _near(path)
    if runtime != "tfserving" or _has_model(path):
        return None
    inner = [name for name in _names(path) if name.isdigit() and _has_model(os.path.join(path, name))]
    hint = f"did you mean its version {os.path.join(path, max(inner, key=int))}?" if inner else ""
    return f"{path} holds no SavedModel (saved_model.pb)", hint or "export the model there, or name another folder"


def _has_model(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in _SAVED_MODEL)


def _near(path: str) -> str:
    """The nearest folder beside the first part of `path` that isn't there."""
    parent, name = os.path.split(path)
    while parent != os.path.dirname(parent) and not os.path.isdir(parent):
        parent, name = os.path.split(parent)
    folders = [entry for entry in _names(parent) if os.path.isdir(os.path.join(parent, entry))]
    meant = nearest(name, folders)
    if meant:
        return f"did you mean {os.path.join(parent, meant)}?"
    return f"{parent} holds the folders {', '.join(folders[:5])}" if folders else f"{parent} holds no folder"


def _names(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in islice(entries, _MOST_NAMES) if not entry.name.startswith("."))
    except OSError:
        return []
