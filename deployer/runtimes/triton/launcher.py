"""Becomes the real `tritonserver` of PyTriton's wheel: `python -I launcher.py FOLDER MODEL PLACE FLAG…`.

The wheel has the server, its libraries and the Python backend in places of their own. PyTriton's Python package, which
would bring them together, is left alone: its models are functions of the calling program.

In FOLDER, the replica's own, `backends` gets what a backend needs, with the stub for this Python, in which models run.
`models` is the repository, where PLACE (the model's name, or that and a version's number) has the files of MODEL. They
are linked one by one, so that what Python compiles of them is not written among the user's.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path


def main() -> None:
    folder, model, place, *flags = sys.argv[1:]
    packages = Path(sysconfig.get_path("purelib"))
    wheel = packages / "pytriton" / "tritonserver"
    stub = wheel / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    program = wheel / "bin" / "tritonserver"
    backends, repository = Path(folder, "backends"), Path(folder, "models")
    for source, target in (
        (wheel / "backends" / "python", backends / "python"),
        (stub, backends / "python"),
        (Path(model), repository / place),
    ):
        _link(source, target)
    for executable in (program, stub / "triton_python_backend_stub"):
        executable.chmod(0o755)  # some installers leave out who may run them
    libraries = (packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"), os.getenv("LD_LIBRARY_PATH"))
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(str(library) for library in libraries if library),
        # The stub is a Python of its own, which takes the packages of the one that it finds here.
        "PATH": f"{Path(sys.executable).parent}:{os.getenv('PATH', os.defpath)}",
    }
    paths = (f"--backend-directory={backends}", f"--model-repository={repository}")
    os.execve(program, (str(program), *paths, *flags), environment)


def _link(source: Path, target: Path) -> None:
    """Make `target` a folder whose files, at any depth, are links to those of `source`."""
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        link = target / item.name
        if item.name == "__pycache__":
            continue
        if item.is_dir():
            _link(item, link)
        else:
            link.unlink(missing_ok=True)
            link.symlink_to(item)


if __name__ == "__main__":
    main()
