"""`turnout up` as a process of its own, and the other commands, as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from deployer.local import ports
from deployer.local.gateway_process import ADMIN_PORT, PORT
from deployer.runtimes.base import HOST

TURNOUT = (sys.executable, "-m", "deployer.cli.main")
POLL = 0.3
"""Seconds between two looks at the status while the servers start: each is a process of its own."""


class DemoFailed(Exception):
    """The message is for the person who runs the demo."""


class Up:
    """Runs `documents` while the context lasts, with its state in `folder`.

    That is gone afterwards, unless something went wrong: it holds the logs.
    """

    def __init__(self, folder: Path, documents: Sequence[Path]) -> None:
        self.folder = folder
        self._documents = documents
        # The usual ports where they are free, so that what is shown is what the manual says.
        usual = [PORT, ADMIN_PORT]
        numbers = usual if all(map(ports.is_free, usual)) else ports.free(2, ())
        self.address, self.admin = (f"{HOST}:{number}" for number in numbers)
        self._options = ("--port", str(numbers[0]), "--admin-port", str(numbers[1]))
        self._log = folder / "up.log"

    def __enter__(self) -> Up:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = (*TURNOUT, "up", *map(str, self._documents), *self._options)
        with open(self._log, "w") as log:
            # In a session of its own: Ctrl-C in the terminal is for the demo, which then ends it in order.
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._process.poll() is None:
            try:
                self._process.send_signal(signal.SIGINT)
                self._process.wait()
            except KeyboardInterrupt:
                continue  # who asks again is impatient, and so is the second signal
        if error is None or isinstance(error, KeyboardInterrupt):
            shutil.rmtree(self.folder)

    def settled(self) -> dict[str, Any]:
        """The deployments by name as `turnout status -o json` shows them, once all are as their documents say.

        Raises:
            DemoFailed: they can't be.
        """
        while True:
            if self._process.poll() is not None:
                raise DemoFailed(f"`turnout up` has ended: {self._log.read_text().strip()}")
            deployments = json.loads(self.turnout("status", "-o", "json"))["deployments"]
            for deployment in deployments:
                for version in deployment["versions"]:
                    if version["condition"] == "Failed":
                        name = f"{deployment['name']} {version['name']}"
                        raise DemoFailed(f"{name} can't be run: {version['reason']}; logs: {self.folder / 'logs'}")
            if len(deployments) == len(self._documents) and all(deployment["settled"] for deployment in deployments):
                return {deployment["name"]: deployment for deployment in deployments}
            time.sleep(POLL)

    def turnout(self, *arguments: str) -> str:
        """What a command prints. Raises DemoFailed with what it said where it fails."""
        done = subprocess.run((*TURNOUT, *arguments), env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise DemoFailed(f"turnout {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def wait(self) -> None:
        """Until `turnout up` ends, which it does not by itself. Raises DemoFailed."""
        self._process.wait()
        raise DemoFailed(f"`turnout up` has ended; what it said is in {self._log}")

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TURNOUT_STATE": str(self.folder)}
