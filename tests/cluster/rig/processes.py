"""Processes of a rig: each in its network namespace, with a log file, and ended with the thread that started it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PATIENCE = 20.0
"""Seconds that a process gets to end, before it is killed."""


class Process:
    """A command that runs from now on."""

    def __init__(self, namespace: Path, log: Path, command: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        self.name = log.stem
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                inside(namespace, ("setpriv", "--pdeathsig", "KILL", *command)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).resolve().parents[3],
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def check(self) -> None:
        """Raises RuntimeError, with the log's end, if it runs no more."""
        if self._process.poll() is not None:
            end = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}; {self.log} ends so:\n{end}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


def inside(namespace: Path, command: Sequence[str]) -> tuple[str, ...]:
    """The command as it is run within the namespace, by whomever."""
    return ("nsenter", f"--net={namespace}", *command)
