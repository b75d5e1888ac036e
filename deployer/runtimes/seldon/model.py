"""Which file holds the model's class. Looks at files."""

from __future__ import annotations

from pathlib import Path

from deployer.runtimes.base import ModelMissing


def located(path: Path) -> Path:
    """The file of the model class: `path` itself, or the one file in that folder whose stem is a class's name.

    Raises:
        ModelMissing: there is none, or it can't be told which.
    """
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
