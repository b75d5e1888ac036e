"""Whether there is a model of Triton's. Looks at files."""

from __future__ import annotations

from pathlib import Path

from deployer.document.model_uri import folder_number
from deployer.runtimes.base import ModelMissing


def located(path: Path) -> Path:
    """The folder of a model, or of one version of it, at `path`.

    Raises:
        ModelMissing: it is neither.
    """
    if not path.is_dir():
        raise ModelMissing(f"{path}: a file, but triton needs a folder, which holds model.py or another model")
    if not any(_is_of_a_model(item) for item in path.iterdir()):
        raise ModelMissing(
            f"{path}: no model of Triton's, since it holds no model.py (or another model file), no config.pbtxt and no "
            "folder of a version; put one there"
        )
    return path


def _is_of_a_model(item: Path) -> bool:
    return (
        item.name == "config.pbtxt" or item.stem == "model" or (item.is_dir() and folder_number(item.name) is not None)
    )
