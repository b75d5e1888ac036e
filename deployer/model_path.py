"""Where a version's model lies: a path, with or without `file://`. Pure: no file is looked at."""

from __future__ import annotations

import os.path
import re

from deployer import later

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


def local_path(model: str) -> str:
    """The path that `model` names: `file://models/1` and `models/1` are one, relative to the document's folder.

    Raises:
        ValueError: it names another kind of place, or no place.
    """
    scheme = _SCHEME.match(model)
    if scheme is None:
        path = model
    elif scheme[1].lower() == "file":
        path = model[scheme.end() :]
    elif scheme[1].lower() in later.SCHEMES:
        raise ValueError(f"a model in {scheme[1]}:// {later.SUFFIX}; copy it to this machine and write its path")
    else:
        raise ValueError(f"{scheme[1]}:// is no place of models; write a path such as models/digits/1")
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
