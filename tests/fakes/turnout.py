"""A `turnout up` in a folder of its own, for tests of real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

from deployer.local.processes import survivors
from deployer.local.state_folder import StateFolder, digest

WITH_FAKES = (sys.executable, str(Path(__file__).parent / "programs" / "turnout.py"))
"""The command line, with model servers that need no runtime and looks that come sooner."""


def until(condition: Callable[[], Any], what: str, seconds: float = 180.0) -> Any:
    """The condition's value once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return value


ROW = {"instances": [[1]]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Turnout:
    """`command` runs the command line. Whatever is left of what it started is killed at the end."""

    def __init__(self, folder: Path, command: Sequence[str] = (sys.executable, "-m", "deployer.cli.main")) -> None:
        self.folder = folder
        self.command = command
        self.state = StateFolder(folder / "state")
        self.port, self.admin_port = free_port(), free_port()
        self._env = {**os.environ, "TURNOUT_STATE": str(self.state.root), "COLUMNS": "300"}
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Turnout:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for record in self.state.records():
            for survivor in survivors(record.identity):
                survivor.kill()
        if error is not None:
            print(self.output())

    def up(self, *arguments: str, ports: bool = True) -> subprocess.Popen[bytes]:
        """Start the supervisor; `output` gives what it says."""
        chosen = ["--port", str(self.port), "--admin-port", str(self.admin_port), "--workers", "1"] if ports else []
        with open(self.folder / "output", "ab") as output:
            return self.start("up", *arguments, *chosen, output=output.fileno())

    def start(self, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        """Start a command that goes on; `output` gets what it says."""
        process = subprocess.Popen([*self.command, *arguments], env=self._env, stdout=output, stderr=output)
        self._started.append(process)
        return process

    def model(self, number: int, **files: str) -> Path:
        """A version of digits that the fakes serve."""
        folder = self.folder / "digits" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"saved_model.pb": "", "answer": f'{{"predictions": [{number}]}}', **files}.items():
            (folder / name).write_text(text)
        return folder

    def document(self, **spec: Any) -> str:
        """Writes a document of digits, with v1 alone where nothing else is said, and gives its path."""
        whole = {
            "runtime": "tfserving",
            "versions": [{"name": "v1", "model": "digits/1"}],
            "traffic": {"stable": "v1"},
            **spec,
        }
        head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
        path = self.folder / "digits.yaml"
        path.write_text(json.dumps({**head, "spec": whole}))
        return str(path)

    def ask(self) -> httpx.Response:
        """One prediction of digits."""
        return httpx.post(self.predict, json=ROW, trust_env=False)

    def load(self, rate: float = 100.0) -> Load:
        """Such predictions all the time."""
        return Load(self.predict, ROW, rate)

    @property
    def predict(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/models/digits:predict"

    def rollout(self) -> dict[str, Any]:
        """That of digits which is under way, or was last; {} if there is none."""
        return dict(self.status().get("rollout") or {})

    def kill(self) -> None:
        """The supervisor alone, with SIGKILL."""
        self._started[-1].kill()
        self._started[-1].wait()

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def run(self, *arguments: str, code: int = 0, input: str | None = None) -> str:
        """What a command prints on stdout; on stderr, where it is to fail."""
        done = subprocess.run(
            [*self.command, *arguments], env=self._env, input=input, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr if code else done.stdout

    def status(self, name: str = "digits") -> dict[str, Any]:
        """What the supervisor last said of the deployment; {} if nothing."""
        content = self.state.status(f"default/{name}")
        return json.loads(content) if content else {}

    def version(self, version: str, name: str = "digits") -> dict[str, Any]:
        return next((v for v in self.status(name).get("versions", ()) if v["name"] == version), {})

    def settled(self, name: str = "digits", seconds: float = 60.0) -> None:
        """Wait until all is as the deployment's document says now."""

        def settled() -> bool:
            documents = {d.metadata.name: digest(d) for d in self.state.documents()}
            status = self.status(name)
            return name in documents and status.get("document") == documents[name] and bool(status["settled"])

        until(settled, f"{name} settled", seconds)

    def gateway_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.admin_port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def pids(self) -> dict[str, int]:
        """Of all processes, by the names of their records."""
        return {record.name: record.identity.pid for record in self.state.records()}

    def left(self) -> list[psutil.Process]:
        """Whatever runs with this state folder in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TURNOUT_STATE") == str(self.state.root)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self, up: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> None:
        up.send_signal(number)
        assert up.wait(timeout=60) == 0


class Load:
    """Predictions at a steady rate while the block runs; `versions` counts who answered, `failures` what failed."""

    def __init__(self, url: str, body: Any, rate: float = 50.0) -> None:
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []
        self._url, self._body, self._rate = url, body, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, number: int) -> None:
        """Wait until so many more have been answered."""
        goal = self.versions.total() + number
        until(lambda: self.failures or self.versions.total() >= goal, f"{number} more answers")

    def _run(self) -> None:
        due = time.monotonic()
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(self._url, json=self._body)
                    self.versions[answer.headers.get("x-turnout-version", "")] += 1
                    if not answer.is_success:
                        self.failures.append(f"{answer.status_code} {answer.text}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                due += 1 / self._rate
                self._stop.wait(max(0.0, due - time.monotonic()))
