"""The environments of the runtimes: each in its own, made on first use from the lock that ships with Turnout.

A virtual environment can't be moved, so it is made where it stays; a marker, written last, tells a whole one from the
rest of an attempt that was killed (docs/decisions/0024-environments-ports-loopback.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from deployer.errors import TurnoutError
from deployer.local.pip_progress import PipProgress, why_failed
from deployer.runtimes.registry import RUNTIMES

_RUNTIMES = Path(__file__).resolve().parent.parent / "runtimes"
_MARKER = ".complete"
_POLL = 0.2
"""Seconds between two looks at what pip has done: often enough for a bar that seems to move by itself."""
_TERM_SECONDS = 5
"""What pip gets to remove its temporary files before it is killed."""


class EnvironmentFailed(TurnoutError):
    """A runtime's environment could not be made."""


def program(runtime: str) -> Path:
    """What runs the runtime's processes: its `binary` where that is on PATH, else the Python of the runtime's
    environment, which is made now if it isn't there (a minute or more; tells its progress on stderr).

    Raises:
        EnvironmentFailed: it could not be made; the message says why and what to do.
    """
    binary = RUNTIMES[runtime].binary
    server = shutil.which(binary) if binary is not None else None
    return python(runtime) if server is None else Path(server).absolute()


def lock(runtime: str) -> Path:
    """The file that lists what is in the runtime's environment."""
    return _RUNTIMES / runtime / "lock.txt"


def python(runtime: str) -> Path:
    """The Python of the runtime's environment, made now if it isn't there. Raises as `program` does."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return environment(runtime, lock(runtime), cache.absolute() / "turnout" / "environments")


def environment(runtime: str, lock: Path, root: Path) -> Path:
    """The Python of an environment under `root` that holds what `lock` lists, made now unless it is there and whole.

    Safe against others who do the same at once: they wait for the first, whichever process or thread it is in.

    Raises:
        EnvironmentFailed: it could not be made, and nothing that looks whole is left.
    """
    pinned = lock.read_bytes()
    base = f"{sys.base_prefix} {platform.python_version()}".encode()
    folder = root / f"{runtime}-{hashlib.sha256(pinned + base).hexdigest()[:16]}"
    if not (folder / _MARKER).exists():
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _held(folder.with_suffix(".lock"), f"the environment of {runtime}") as held:
                if not (folder / _MARKER).exists():
                    _make(runtime, lock, folder, held)
        except OSError as error:
            raise EnvironmentFailed(f"the environment of {runtime} can't be made in {root}: {error}") from None
    return folder / "bin" / "python"


@contextlib.contextmanager
def _held(path: Path, what: str) -> Iterator[int]:
    """The file lock at `path`, waited for if need be. The file itself stays: removing it would let two hold it."""
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(
                f"{what} is being made by process {file.read().strip() or 'unknown'}; waiting for it", file=sys.stderr
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _make(runtime: str, lock: Path, folder: Path, held: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what is left of an attempt that was killed
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    temporary = folder / "tmp"
    try:
        with PipProgress(runtime, lock, folder, temporary, log) as progress:
            _run([sys.executable, "-I", "-m", "venv", str(folder)], log, temporary, held, progress)
            temporary.mkdir()
            install = ["install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)]
            quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
            _run(
                [str(folder / "bin" / "python"), "-I", "-u", "-m", "pip", *install, *quiet],
                log,
                temporary,
                held,
                progress,
            )
            shutil.rmtree(temporary)
            (folder / _MARKER).touch()
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder, ignore_errors=True)
        step = "venv" if "venv" in error.cmd else "pip"
        raise EnvironmentFailed(
            f"the environment of {runtime} could not be made: {step} ended with exit code {error.returncode}: "
            f"{why_failed(log)}; the same command tries again, and all that {step} said is in {log}"
        ) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run(argv: Sequence[str], log: Path, temporary: Path, held: int, progress: PipProgress) -> None:
    """Run `argv`; if we are interrupted, so is it, with all that it started."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)} if temporary.exists() else None,
            start_new_session=True,
            # The child holds the lock too: if we are killed, nobody starts afresh under a pip that still writes.
            pass_fds=(held,),
        )
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if code := child.wait(_POLL):
                    raise subprocess.CalledProcessError(code, argv)
                return
            progress.look()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_TERM_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
