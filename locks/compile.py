"""Writes the lock files: for each environment, every package with its version and hashes, and where none is built.

Run with the development environment's Python. Versions that are locked stay unless `pyproject.toml` forbids them;
`--upgrade` moves all to the newest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deployer.runtimes.registry import RUNTIMES

ROOT = Path(__file__).resolve().parent.parent


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
    compile_lock("locks/fuzz.txt", "--group", "fuzz")
    for runtime in RUNTIMES:
        folder = f"deployer/runtimes/{runtime}"
        group = ("--group", f"pyproject.toml:runtime-{runtime}", "--only-binary", ":all:")
        # What the packages ask for and never import as we run them.
        unused = f"{folder}/unused.txt"
        excludes = ("--excludes", unused) if (ROOT / unused).exists() else ()
        compile_lock(f"{folder}/lock.txt", *group, *excludes)


if __name__ == "__main__":
    main()
