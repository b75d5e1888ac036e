"""Writes the lock files: for each environment, every package with its version and hashes, and where none is built.

Run with the development environment's Python. Versions that are locked stay unless `pyproject.toml` forbids them;
`--upgrade` moves all to the newest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = "deployer/runtimes"

# What a runtime's packages ask for and never import as we run them.
EXCLUDED = {
    # The stubs ask for `tensorflow`, with 600 MB for GPUs; `tensorflow-cpu` has the same modules.
    "tfserving": ["tensorflow"],
    # For tracing, which is off. They are published as source only: without them nothing is built on a user's machine.
    "seldon": ["flask-opentracing", "grpcio-opentracing", "jaeger-client", "opentracing"],
    "oip": [],
}


def compile_lock(output: str, *arguments: str) -> None:
    command = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
    naming = ("--no-emit-index-url", "--no-header")
    subprocess.run(
        [sys.executable, "-m", *command, *naming, *arguments, "-o", output, *sys.argv[1:]],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"{output}: {sum(line[:1].isalnum() for line in (ROOT / output).read_text().splitlines())} packages")


def main() -> None:
    compile_lock("locks/dev.txt", "pyproject.toml", "--group", "dev", "--extra", "kubernetes")
    # What the image holds, in the versions that are developed with.
    compile_lock("locks/image.txt", "pyproject.toml", "--extra", "kubernetes", "--constraints", "locks/dev.txt")
    compile_lock("locks/build.txt", "--group", "build", "--constraints", "locks/dev.txt")
    for runtime, names in EXCLUDED.items():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as excludes:
            excludes.write("\n".join(names))
            excludes.flush()
            group = ("--group", f"pyproject.toml:runtime-{runtime}", "--only-binary", ":all:")
            compile_lock(f"{RUNTIMES}/{runtime}/lock.txt", *group, "--excludes", excludes.name)


if __name__ == "__main__":
    main()
