"""The state folder's logs: who may read them, how long they get, and the supervisor's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from deployer.rollout import status

MAX_BYTES = 32 << 20
"""Of a log; what was in it before then is in `NAME.log.1`."""
LOOK_EVERY = 30.0
"""Seconds between two looks at how long they are."""


def appending(path: Path) -> BinaryIO:
    """The log, opened to be appended to. It may tell of requests: nobody else may read it."""
    return open(path, "ab", opener=_private)


def bound(folder: Path) -> None:
    """Begin each log anew that has become too long. It is copied, since whoever writes to it has it open; lines that
    come meanwhile may be lost."""
    for path in folder.glob("*.log"):
        with contextlib.suppress(OSError):  # such as of a log that goes
            if path.stat().st_size <= MAX_BYTES:
                continue
            before = path.with_suffix(".log.1")
            try:
                with open(path, "rb") as log, open(before, "wb", opener=_private) as copy:
                    shutil.copyfileobj(log, copy)
            except OSError:  # the disk is full: then at least this log fills it no more
                before.unlink(missing_ok=True)
            os.truncate(path, 0)


class SupervisorLog:
    """What the supervisor decides, each line with its time (RFC 3339, as in `turnout rollout explain`): `show` gets
    it, and the file `supervisor.log`. Bounds all logs of the folder while it is open."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self._folder = folder
        self._show = show
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._bound, name="logs", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """A log that can't be written, as where the disk is full, keeps nothing from going on."""
        text = f"{status.time(time.time())}  {line}"
        self._show(text)
        with contextlib.suppress(OSError), appending(self._folder / "supervisor.log") as file:
            file.write(f"{text}\n".encode())

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _bound(self) -> None:
        while not self._closing.wait(LOOK_EVERY):
            bound(self._folder)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
