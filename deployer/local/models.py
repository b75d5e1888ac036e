"""Where a version's model lies on this machine, checked before anything is started."""

from __future__ import annotations

from pathlib import Path

from deployer.errors import TurnoutError, nearest

_SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


class ModelMissing(TurnoutError):
    """There is no model of the runtime's kind where the document says."""


def located(runtime: str, path: Path) -> Path:
    """What a runtime loads of the model at `path`: a SavedModel's folder for `tfserving`, a model class's file for
    `seldon`, which may be named itself or be the one file in its folder whose stem is a class's name, and for `oip`
    whatever is there: its server knows.

    Raises:
        ModelMissing: it isn't there, or can't be told.
    """
    if not path.exists():
        near = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else None
        there = f"did you mean {path.parent / near}?" if near else _first_missing(path)
        raise ModelMissing(f"{path}: no such model{'' if runtime == 'oip' else ' folder'}; {there}")
    if runtime == "oip":
        return path
    return _saved_model(path) if runtime == "tfserving" else _class_file(path)


def _first_missing(path: Path) -> str:
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    return f"{missing.parent} has nothing called {missing.name}"


def _saved_model(path: Path) -> Path:
    if not path.is_dir():
        raise ModelMissing(f"{path}: a file, but tfserving needs a SavedModel's folder, which holds saved_model.pb")
    if not any((path / name).is_file() for name in _SAVED_MODEL_FILES):
        inside = sorted(item.name for item in path.iterdir() if (item / _SAVED_MODEL_FILES[0]).is_file())
        hint = f"name one of its versions, such as {path / inside[-1]}" if inside else "export one there"
        raise ModelMissing(f"{path}: no SavedModel, since it holds no saved_model.pb; {hint}")
    return path


def _class_file(path: Path) -> Path:
    if path.is_file():
        if path.suffix != ".py" or not path.stem.isidentifier():
            raise ModelMissing(f"{path}: no Python file named after its model class, such as Digits.py")
        return path
    files = sorted(item for item in path.glob("*.py") if item.stem.isidentifier() and item.stem[0].isupper())
    if len(files) != 1:
        found = f"the files {', '.join(file.name for file in files)}" if files else "no Python file"
        raise ModelMissing(
            f"{path}: {found} named after a model class, but seldon needs one such as Digits.py with class Digits; "
            "name the file itself if the folder has to hold several"
        )
    return files[0]
