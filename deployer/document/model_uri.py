"""Where a version's model lies: a path, with or without `file://`, or a URL. Pure: no file is looked at."""

from __future__ import annotations

import os.path
import re

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


REMOTE = ("gs", "http", "https", "pvc", "s3")
"""Places of models that only Kubernetes can fetch from."""


def checked(model: str) -> str:
    """`model`, if it names a place of a kind that some target can use.

    Raises:
        ValueError: it names another kind of place, or no place.
    """
    scheme = _SCHEME.match(model)
    if scheme is None or scheme[1].lower() == "file":
        return local_path(model)
    if scheme[1].lower() not in REMOTE:
        known = ", ".join(f"{name}://" for name in ("file", *REMOTE))
        raise ValueError(f"{scheme[1]}:// is no place of models; there are {known} and paths such as models/digits/1")
    if not model[scheme.end() :].strip("/ ") or "\0" in model:
        raise ValueError(f"{model!r} names no folder; write a path after {scheme[1]}://")
    return model


def is_local(model: str) -> bool:
    """Whether `model` is a path, with or without `file://`."""
    scheme = _SCHEME.match(model)
    return scheme is None or scheme[1].lower() == "file"


def local_path(model: str) -> str:
    """The path that `model` names: `file://models/1` and `models/1` are one, relative to the document's folder.

    Raises:
        ValueError: it names a place elsewhere, or no place.
    """
    if not is_local(model):
        raise ValueError(f"{model} can be fetched on Kubernetes only; copy it to this machine and write its path")
    scheme = _SCHEME.match(model)
    path = model[scheme.end() :] if scheme else model
    if not path.strip() or "\0" in path:
        raise ValueError(f"{model!r} names no folder; write a path such as models/digits/1")
    return path


def absolute(model: str, folder: str) -> str:
    """The absolute path of `model`, seen from `folder`. Raises ValueError as `local_path` does."""
    return os.path.normpath(os.path.join(folder, local_path(model)))


def folder_number(model: str) -> int | None:
    """The number that names the model's folder, as TensorFlow Serving has it: 1 for `models/digits/1`."""
    name = model.rstrip("/").rpartition("/")[2]
    return int(name) if re.fullmatch("[0-9]{1,18}", name) and int(name) > 0 else None
