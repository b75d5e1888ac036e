"""The images that the rig's nodes know: for each name, a command and the files that make a root out of this machine's.

A container's root is this machine's own, seen through an overlay, so an image is only what has to be added to it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from deployer.local import environments
from deployer.runtimes.tfserving.process import MODEL_SERVER, STAND_IN

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = CHECKOUT / "examples"
FAULTY = CHECKOUT / "tests" / "e2e" / "programs" / "faulty"
HTTP_SERVER = Path(__file__).resolve().parent / "http_server.py"
NEXT_RELEASE = Path(__file__).resolve().parent / "next_release"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageNotFound(Exception):
    """No image of that name is known, or what it stands for can't be had; the message says which."""


@dataclass(frozen=True)
class Image:
    """`command` after `entrypoint`, as in a Dockerfile."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: int = 0
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Executable files: text by path in the container."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine by path in the container, read-only there."""


def find(name: str) -> Image:
    """The image called `name`; what it stands for is made if it is missing, which may take minutes.

    Raises:
        ImageNotFound: as it says.
    """
    repository, _, tag = name.removeprefix("docker.io/").partition("@")[0].partition(":")
    for pattern, make in _IMAGES.items():
        if fnmatch(repository, pattern):
            try:
                image = make(tag or "latest")
            except (OSError, environments.EnvironmentFailed, subprocess.CalledProcessError) as error:
                raise ImageNotFound(f"{name}: {error}") from None
            return Image(**{**vars(image), "env": {"PATH": _PATH, **image.env}})
    raise ImageNotFound(f"{name}: no image of this name is known to the rig")


def _tfserving(tag: str) -> Image:
    python = environments.python("tfserving")
    return Image(
        entrypoint=("/usr/bin/tf_serving_entrypoint.sh",),
        env={"MODEL_BASE_PATH": "/models", "MODEL_NAME": "model", "TF_CPP_MIN_LOG_LEVEL": "1"},
        scripts={
            f"/usr/bin/{MODEL_SERVER}": f'#!/bin/sh\nexec {python} -I -u {STAND_IN} --host=0.0.0.0 "$@"\n',
            "/usr/bin/tf_serving_entrypoint.sh": (
                f"#!/bin/sh\nexec {MODEL_SERVER} --port=8500 --rest_api_port=8501 "
                '--model_name="$MODEL_NAME" --model_base_path="$MODEL_BASE_PATH/$MODEL_NAME" "$@"\n'
            ),
        },
        folders={"/models": models()},
    )


def _seldon(tag: str) -> Image:
    """Seldon's own base image: whoever uses it says what to run in MODEL_NAME."""
    return Image(
        entrypoint=("/bin/sh", "-c", "exec seldon-core-microservice $MODEL_NAME --service-type $SERVICE_TYPE"),
        env={"PATH": f"{environments.python('seldon').parent}:{_PATH}", "SERVICE_TYPE": "MODEL"},
    )


def _digits_seldon(tag: str) -> Image:
    """The example's classes, as s2i builds them into an image."""
    source = models() / "digits-seldon" / tag
    classes = [file.stem for file in source.glob("*.py")]
    if len(classes) != 1:
        raise ImageNotFound(f"digits-seldon:{tag}: there is no such tag; v1 and v2 are known")
    base = _seldon(tag)
    return Image(
        entrypoint=base.entrypoint,
        env={**base.env, "MODEL_NAME": classes[0], "PYTHONDONTWRITEBYTECODE": "1"},
        folder="/microservice",
        folders={"/microservice": source, "/models": models()},
    )


def _faulty(tag: str) -> Image:
    """The tests' model that FAULT spoils."""
    base = _seldon(tag)
    return Image(
        entrypoint=base.entrypoint,
        env={**base.env, "MODEL_NAME": "Faulty", "PYTHONDONTWRITEBYTECODE": "1"},
        folder="/microservice",
        folders={"/microservice": FAULTY},
    )


def _mlserver(tag: str) -> Image:
    return Image(
        command=("/bin/sh", "-c", "exec mlserver start $MLSERVER_MODELS_DIR"),
        env={
            "PATH": f"{environments.python('oip').parent}:{_PATH}",
            "MLSERVER_MODELS_DIR": "/mnt/models",
            "MLSERVER_HOST": "0.0.0.0",
        },
        folders={"/models": models()},
    )


def _turnout(tag: str) -> Image:
    """This checkout, with its Python; `next`: the release after it."""
    programs = {"turnout": " -m deployer.cli.main", "turnout-gateway": " -m gateway.cli", "python3": ""}
    return Image(
        scripts={
            f"/usr/local/bin/{program}": f'#!/bin/sh\nexec {sys.executable}{module} "$@"\n'
            for program, module in programs.items()
        },
        env={
            "PYTHONPATH": f"{NEXT_RELEASE}:{CHECKOUT}" if tag == "next" else str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        },
        user=65532,
    )


def _shell(tag: str) -> Image:
    return Image(command=("/bin/sh",))


def _http(tag: str) -> Image:
    """A server that says who it is; its tag is in the answers."""
    return Image(entrypoint=(sys.executable, "-I", "-u", str(HTTP_SERVER)), env={"TAG": tag})


_IMAGES: Mapping[str, Callable[[str], Image]] = {
    "tensorflow/serving": _tfserving,
    "test/tfserving*": _tfserving,
    "test/digits-seldon": _digits_seldon,
    "test/faulty": _faulty,
    "seldonio/mlserver*": _mlserver,
    "test/mlserver*": _mlserver,
    "seldonio/*": _seldon,
    "test/seldon-*": _seldon,
    "turnout": _turnout,
    "*/turnout": _turnout,
    "curlimages/curl": _shell,
    "busybox*": _shell,
    "*/busybox*": _shell,
    "test/http": _http,
}


def models() -> Path:
    """The folder of the examples' models, trained now if they are missing."""
    folder = EXAMPLES / "models"
    lock = os.open(EXAMPLES, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several nodes may find them missing at once
        if not all((folder / name).exists() for name in ("digits", "digits-seldon", "digits-oip")):
            subprocess.run(
                [sys.executable, EXAMPLES / "demo" / "train.py", EXAMPLES],
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                check=True,
            )
    finally:
        os.close(lock)
    return folder
