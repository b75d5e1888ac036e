"""`python -m loadtests.local`: `turnout up` with 500 versions, and the commands beside it.

Supervisor, gateway and commands are real; model servers are only said to run (see asleep.py). Told is: what `turnout
status` and `turnout traffic` take, from their start to their end, and what the supervisor takes while nothing changes.
"""

from __future__ import annotations

import argparse
import resource
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from deployer.document.model import ModelDeployment
from tests.fakes.turnout import Turnout, until

_PATIENCE = 600.0
_SETTLING = 20.0
"""Seconds until the gateway counts as idle, and the supervisor rests."""
_REST = 60.0
"""Seconds of rest over which the supervisor's CPU is counted."""


def document(number: int, models: Path) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": f"model-{number}"},
            "spec": {
                "runtime": "tfserving",
                "versions": [{"name": f"v{each}", "model": str(models / str(each))} for each in (1, 2)],
                "traffic": {"stable": "v1", "canary": "v2", "weight": 10.0},
            },
        }
    )


def took(turnout: Turnout, *arguments: str) -> tuple[float, float]:
    """Seconds of CPU (user and system) and on the clock."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    turnout.run(*arguments)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, seconds


def at_rest(process: psutil.Process) -> float:
    """The part of a core that it takes."""
    before = process.cpu_times()
    time.sleep(_REST)
    after = process.cpu_times()
    return (after.user - before.user + after.system - before.system) / _REST


def _summary(command: str, figures: Sequence[tuple[float, float]]) -> str:
    cpu, clock = zip(*figures, strict=True)
    return (
        f"turnout {command}: {statistics.median(clock):.2f} s (most {max(clock):.2f} s), of which CPU "
        f"{statistics.median(cpu):.2f} s; median of {len(figures)}"
    )


def _accept(listener: socket.socket) -> None:
    """In place of the model servers."""
    while True:
        listener.accept()[0].close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.local", description=__doc__)
    parser.add_argument("--versions", type=int, default=500)
    parser.add_argument("--times", type=int, default=20)
    chosen = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    asleep = (sys.executable, "-m", "loadtests.asleep", str(listener.getsockname()[1]))
    with tempfile.TemporaryDirectory(prefix="turnout-local-") as folder, Turnout(Path(folder), asleep) as running:
        models = Path(folder) / "models"
        for number in (1, 2):
            (models / str(number)).mkdir(parents=True)
            (models / str(number) / "saved_model.pb").touch()
        deployments = chosen.versions // 2
        for number in range(deployments):
            running.state.write_document(document(number, models))
        began = time.monotonic()
        up = running.up()
        until(lambda: "all is as declared" in running.output(), "all are ready", _PATIENCE)
        print(f"{chosen.versions} versions in deployments of 2, all ready after: {time.monotonic() - began:.0f} s")
        commands = Turnout(Path(folder))
        print(_summary("status", [took(commands, "status") for _ in range(chosen.times)]))
        names = [f"model-{number % deployments}" for number in range(chosen.times)]
        weights = [20 + number // deployments for number in range(chosen.times)]
        changes = [
            took(commands, "traffic", name, f"v1={100 - weight}", f"v2={weight}")
            for name, weight in zip(names, weights, strict=True)
        ]
        print(_summary("traffic", changes))
        time.sleep(_SETTLING)
        print(f"the supervisor at rest: {at_rest(psutil.Process(up.pid)):.1%} of a core")
        up.send_signal(signal.SIGINT)
        up.wait(_PATIENCE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
