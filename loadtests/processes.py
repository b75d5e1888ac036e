"""Processes that are measured: pinned to cores, logging to a file, ended with the block that started them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

YIELDING = 19
"""Added to a process' niceness: it weighs a seventieth of the others."""


def pinned(command: Sequence[str], cpus: Sequence[int]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, cpus)), *command]


def giving_way(command: Sequence[str]) -> list[str]:
    """It gets what all others leave of the processors, and little more."""
    return ["nice", "-n", str(YIELDING), *command]


class Process:
    """A running program. Its threads and the processes that it starts stay on its cores."""

    def __init__(self, name: str, started: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._started = started
        self._log = log

    @property
    def root(self) -> psutil.Process:
        return psutil.Process(self._started.pid)

    def cpu_seconds(self) -> float:
        """User and system time of it and of all that descend from it, so far."""
        total = 0.0
        for process in [self.root, *self.root.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def wait(self, look: Callable[[], T | None], seconds: float = 30) -> T:
        """What `look` returns as soon as that isn't None.

        Raises:
            RuntimeError: the process ended, or the time did; the message ends with the log's last lines.
        """
        end = time.monotonic() + seconds
        while (found := look()) is None:
            code = self._started.poll()
            if code is not None or time.monotonic() > end:
                what = f"is not ready after {seconds} s" if code is None else f"ended with code {code}"
                tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
                raise RuntimeError(f"{self.name} {what}:\n{tail}")
            time.sleep(0.02)
        return found


@contextmanager
def running(
    name: str, command: Sequence[str], cpus: Sequence[int], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Starts `command`; its output goes to NAME.log in `folder`. It is sent SIGTERM at the end, then SIGKILL."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            pinned(command, cpus),
            stdin=subprocess.PIPE,  # the upstream ends with it, even where the bench is killed
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield Process(name, started, log)
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        if started.stdin:
            started.stdin.close()
