"""Where an attack takes place: a gateway before model servers, as users start it, and what its processes take."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import psutil

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version, write
from loadtests.attack.measurement import Sample
from loadtests.processes import giving_way, running

WORKERS = 2
INTERVAL = 0.25
"""Seconds between two samples of what the gateway takes."""

SERVERS = {"honest": (60, 0.0), "small": (60, 0.0), "big": (300_000, 0.0), "slow": (60, 2.0)}
"""The models: bytes of an answer, and seconds that it takes. Attacks go to all but `honest`."""

DEAD = "dead"
"""A deployment whose server is gone."""

SIMILAR = [f"recommendation-model-for-the-front-page-in-country-{number:02}" for number in range(60)]


class Stage:
    """The gateway under attack."""

    def __init__(self, port: int, admin: str, root: psutil.Process, servers: Mapping[str, Endpoint]) -> None:
        self.port = port
        self.admin = admin
        self.servers = servers
        self._root = root

    @property
    def admin_port(self) -> int:
        return int(self.admin.rsplit(":", 1)[1])

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def workers(self) -> list[psutil.Process]:
        return self._root.children()

    def sample(self) -> Sample:
        memory = 0
        busy = 0.0
        for process in (self._root, *self.workers()):
            try:
                memory += process.memory_info().rss
                times = process.cpu_times()
                busy += times.user + times.system
            except psutil.Error:  # it has just ended
                continue
        return Sample(monotonic(), memory, busy)


@contextmanager
def model_servers(folder: Path) -> Iterator[dict[str, Endpoint]]:
    """By model, for all attacks. Those that are attacked give way, as the attacker does."""
    with ExitStack() as stack:
        started = {}
        for name, (size, seconds) in SERVERS.items():
            command = [sys.executable, "-m", "loadtests.attack.model_server", str(size), str(seconds)]
            if name != "honest":
                command = giving_way(command)
            started[name] = stack.enter_context(running(name, command, _cores(), folder))
        yield {name: process.wait(partial(_ports, folder / f"{name}.log")) for name, process in started.items()}


@contextmanager
def stage(
    folder: Path, servers: Mapping[str, Endpoint], descriptors: int | None, options: Sequence[str]
) -> Iterator[Stage]:
    """`descriptors`: how many each process of the gateway may open; `options` of it."""
    folder.mkdir()
    dead = Endpoint(host="127.0.0.1", rest=1, grpc=1)
    endpoints = {name: [at] for name, at in servers.items()} | {name: [servers["small"]] for name in SIMILAR}
    # One of the honest client's servers is dead, too: it lives by retries.
    endpoints |= {DEAD: [dead], "honest": [servers["honest"], dead]}
    table = RouteTable(revision=1, deployments=tuple(_deployment(name, at) for name, at in endpoints.items()))
    (folder / "routes.json").write_bytes(write(table))
    command = [sys.executable, "-m", "gateway.cli", "--port", "0", "--admin-port", "0", "--state", str(folder)]
    command += ["--workers", str(WORKERS), *options]
    if descriptors is not None:
        command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *command]
    with running("gateway", command, _cores(), folder) as process:
        port, admin = process.wait(lambda: _listening(folder / "gateway.log"))
        process.wait(lambda: _ready(admin))
        yield Stage(port, admin, process.root, servers)


class Monitor(threading.Thread):
    """Samples what the gateway takes, until `stop`."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._stage = stage
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.samples.append(self._stage.sample())

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _deployment(name: str, endpoints: Sequence[Endpoint]) -> Deployment:
    version = Version(name="v1", servable=1, endpoints=tuple(endpoints))
    return Deployment(namespace="default", name=name, runtime="tfserving", stable="v1", versions=(version,))


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _ports(log: Path) -> Endpoint | None:
    text = log.read_text()
    return Endpoint(host="127.0.0.1", **json.loads(text)) if text.endswith("}\n") else None


def _listening(log: Path) -> tuple[int, str] | None:
    found = re.search(r"message=listening .*?data=\S+:(\d+) admin=(\S+)", log.read_text())
    return (int(found[1]), found[2]) if found else None


def _ready(admin: str) -> bool | None:
    try:
        with urllib.request.urlopen(f"http://{admin}/readyz", timeout=5):
            return True
    except OSError:
        return None
