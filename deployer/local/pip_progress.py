"""Shows how far pip has come, by what it prints and what it has written: a bar on a terminal, else a few lines."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_COLLECTING = re.compile(r"^Collecting ", re.MULTILINE)
_IGNORED = re.compile(r"^Ignoring .*: markers ", re.MULTILINE)
_PINNED = re.compile(r"^[A-Za-z0-9][^ ]*==", re.MULTILINE)
_RETRYING = re.compile(r"^WARNING: Retrying ", re.MULTILINE)
_INSTALLING = "\nInstalling collected packages"
_ERROR = re.compile(r"^(?:ERROR|Error): (.*)", re.MULTILINE)


class PipProgress:
    """A context in which `look`, called now and then, shows what has changed."""

    def __init__(self, runtime: str, lock: Path, folder: Path, temporary: Path, log: Path) -> None:
        self._runtime = runtime
        self._pinned = len(_PINNED.findall(lock.read_text()))
        self._folder, self._temporary, self._log = folder, temporary, log
        self._downloaded = 0
        self._stage = ""
        self._began = time.monotonic()
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("packages{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(f"{runtime}: preparing", total=self._pinned, note="")

    def __enter__(self) -> PipProgress:
        self._say(f"making the environment of {self._runtime}: {self._pinned} packages, once; in {self._folder}")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if kind is None:
            self._say(f"the environment of {self._runtime} is made, in {time.monotonic() - self._began:.0f} s")

    def look(self) -> None:
        output = self._log.read_text(errors="replace")
        total = self._pinned - len(_IGNORED.findall(output))
        if _INSTALLING in output:
            stage, note = "installing", ""
            done = sum(1 for _ in self._folder.glob("lib/python*/site-packages/*.dist-info"))
        else:
            stage, done = "downloading", len(_COLLECTING.findall(output))
            self._downloaded = max(self._downloaded, _size(self._temporary))
            note = f", {decimal(self._downloaded)}" + (", trying again" if _retrying(output) else "")
        self._bar.update(
            self._task, description=f"{self._runtime}: {stage}", completed=min(done, total), total=total, note=note
        )
        if stage != self._stage and not self._console.is_terminal:
            self._say(f"{self._runtime}: {stage} {total} packages")
        self._stage = stage

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


def why_failed(log: Path) -> str:
    """The one line that tells most, of what pip or venv said."""
    output = log.read_text(errors="replace")
    errors = _ERROR.findall(output)
    if _retrying(output):
        return "the package index can't be reached; check the network" + (f" ({errors[-1]})" if errors else "")
    last = output.strip().rpartition("\n")[2]
    return str(errors[0]) if errors else last or "it said nothing"


def _retrying(output: str) -> bool:
    """Whether pip waits for a network that does not answer: warnings with nothing collected since."""
    return bool(_RETRYING.findall(output.rpartition("\nCollecting ")[2]))


def _size(folder: Path) -> int:
    total = 0
    for file in folder.glob("**/*"):
        with contextlib.suppress(OSError):  # pip removed it meanwhile
            total += file.stat().st_size
    return total
