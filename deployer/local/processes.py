"""Processes that outlive their supervisor: started in a session of their own, known again later, ended with all
that they started.

A process is known by three things together: its pid, when it started, and a marker in its environment. Pids are
reused; a record without the other two would one day end somebody else's program.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from deployer.local.logs import appending

MARKER = "TURNOUT_PROCESS"
OWNER = "TURNOUT_PROCESS_STATE"
"""The variable that names the state folder which a process belongs to."""
_START_TOLERANCE = 1.5
"""Seconds. The time of the machine's start is told in whole seconds, and moves by one when the clock is set."""


class Identity(BaseModel):
    """What a process is known by. `pid` is 0 from when a start is intended until it has happened."""

    model_config = ConfigDict(frozen=True)

    marker: str
    pid: int = 0
    started: float = 0
    """Seconds since the machine's start: unlike a time of day, it survives a change of the clock."""


def intended() -> Identity:
    """A new identity, to be recorded before the start: whoever dies in between can be found by its marker."""
    return Identity(marker=secrets.token_hex(16))


class Processes:
    """The processes of one supervisor: those that it started and those that it adopted."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._adopted: dict[int, psutil.Process] = {}

    def start(self, identity: Identity, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> Identity:
        """Start `argv` with `env` added to our environment, and everything that it prints appended to `log`.

        Raises:
            OSError: the program can't be started; the message says which and why.
        """
        with appending(log) as output:
            # A file and not a pipe: a pipe breaks with the supervisor, and adopted processes must be able to write.
            try:
                child = subprocess.Popen(
                    argv,
                    env={**os.environ, **env, MARKER: identity.marker},
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except ValueError as error:  # such as a NUL in what a document says
                raise OSError(errno.EINVAL, f"no process can be given its environment: {error}") from None
        self._children[child.pid] = child
        process = psutil.Process(child.pid)
        started = _started(process)
        # Linux tells of the start a moment before it shows the new environment, by which the process is known.
        while child.poll() is None and not _environment(process):
            time.sleep(0.001)
        return Identity(marker=identity.marker, pid=child.pid, started=started)

    def adopt(self, identity: Identity) -> Identity | None:
        """The living process that `identity` was recorded for, if there is one: from now on it is ours to watch.

        A start that was intended but never recorded (`pid` is 0) is looked for by its marker.
        """
        if identity.pid == 0:
            first = min(survivors(identity), key=lambda process: process.create_time(), default=None)
            if first is None:
                return None
            identity = Identity(marker=identity.marker, pid=first.pid, started=_started(first))
        if (process := _living(identity)) is None:
            return None
        self._adopted[identity.pid] = process
        return identity

    def ending(self, identity: Identity) -> str | None:
        """How the process ended, in words; None while it lives."""
        if (child := self._children.get(identity.pid)) is not None:
            code = child.poll()
            if code is None:
                return None
            return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        process = self._adopted.get(identity.pid)
        if process is not None and _runs(process):
            return None
        return "ended"  # it was another's child: only its parent is told how

    def any_ended(self) -> bool:
        """Whether any has ended, and `ending` was not told yet."""
        if self._children:
            with contextlib.suppress(ChildProcessError):  # all have been waited for
                if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    return True
        return any(not _runs(process) for process in self._adopted.values())

    def forget(self, identity: Identity) -> None:
        """Drop what is kept about a process that has ended."""
        self._children.pop(identity.pid, None)
        self._adopted.pop(identity.pid, None)

    def signal(self, identity: Identity, number: signal.Signals, *, leader_only: bool = False) -> None:
        """Signal the process and all that it started, or the process alone."""
        if leader_only:
            with contextlib.suppress(psutil.NoSuchProcess):
                if (process := _living(identity)) is not None:
                    process.send_signal(number)
            return
        for process in survivors(identity):
            # psutil checks again that the pid has not been reused. One by one, since not all need be in one group.
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(number)


def survivors(identity: Identity) -> list[psutil.Process]:
    """What still runs of a process: itself, those that bear its marker, and those in its group.

    A group whose first process is gone is ours if one of its members bears the marker: a pid is not given out again
    while a group is called by it.
    """
    marked: list[psutil.Process] = []
    grouped: list[psutil.Process] = []
    ours = False
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            in_group = identity.pid != 0 and os.getpgid(process.pid) == identity.pid
            if process.environ().get(MARKER) == identity.marker:
                marked.append(process)
                ours = ours or in_group
            elif in_group:
                grouped.append(process)
        except (psutil.Error, OSError):  # it ended meanwhile, or belongs to another user, so is none of ours
            continue
    return marked + grouped if ours else marked


def strays(owner: str, known: Container[str]) -> list[psutil.Process]:
    """What runs for the state folder `owner` and bears none of the `known` markers: no record tells of it any more."""
    found = []
    for process in psutil.process_iter():
        environment = _environment(process)
        if environment.get(OWNER) == owner and environment.get(MARKER) not in known and process.pid != os.getpid():
            found.append(process)
    return found


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _living(identity: Identity) -> psutil.Process | None:
    try:
        process = psutil.Process(identity.pid)
        same = (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(_started(process) - identity.started) < _START_TOLERANCE
            and process.environ().get(MARKER) == identity.marker
        )
    except psutil.Error:  # there is none, or it is another user's, so none of ours
        return None
    return process if same else None


def _environment(process: psutil.Process) -> dict[str, str]:
    with contextlib.suppress(psutil.Error):
        return process.environ()
    return {}


def _started(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()
