"""Whether there is a SavedModel. Looks at files."""

from __future__ import annotations

from pathlib import Path

from deployer.runtimes.base import ModelMissing

_FILES = ("saved_model.pb", "saved_model.pbtxt")


def located(path: Path) -> Path:
    """The SavedModel's folder at `path`.

    Raises:
        ModelMissing: it is none.
    """
    if not path.is_dir():
        raise ModelMissing(f"{path}: a file, but tfserving needs a SavedModel's folder, which holds saved_model.pb")
    if not any((path / name).is_file() for name in _FILES):
        inside = sorted(item.name for item in path.iterdir() if (item / _FILES[0]).is_file())
        hint = f"name one of its versions, such as {path / inside[-1]}" if inside else "export one there"
        raise ModelMissing(f"{path}: no SavedModel, since it holds no saved_model.pb; {hint}")
    return path
