"""A parent as a real process with real (fake-serving) workers, and what tests ask of it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version, write
from gateway.settings import Settings

HERE = Path(__file__).parent
T = TypeVar("T")
FAKE = [sys.executable, str(HERE / "programs" / "fake_worker.py")]


def route_table(revision: int, *versions: str, endpoint: int = 9000) -> RouteTable:
    """One deployment; its versions have one endpoint each, the first is stable."""
    ports = range(endpoint, endpoint + len(versions))
    made = tuple(
        Version(name=name, endpoints=(Endpoint(host="127.0.0.1", rest=port, grpc=port + 1000),))
        for name, port in zip(versions, ports, strict=True)
    )
    digits = Deployment(namespace="vision", name="digits", runtime="tfserving", stable=versions[0], versions=made)
    return RouteTable(revision=revision, deployments=(digits,))


def eventually(ask: Callable[[], T], good: Callable[[T], bool] = bool, within: float = 180.0) -> T:
    """The first good answer; fails with the last one."""
    end = time.monotonic() + within
    while not good(answer := ask()):
        assert time.monotonic() < end, f"still {answer!r} after {within} s"
        time.sleep(0.02)
    return answer


class ParentProcess:
    def __init__(
        self, folder: Path, command: list[str] = FAKE, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        self.folder = folder
        self.table = folder / "routes.json"
        self.log = folder / "gateway.log"
        defaults = Settings(port=0, admin_port=0, state=folder, workers=2)
        values = json.dumps(TypeAdapter(Settings).dump_python(defaults, mode="json") | settings)
        argv = [sys.executable, str(HERE / "programs" / "parent_main.py"), values, json.dumps(command)]
        with self.log.open("ab") as log:
            begin = log.tell()
            root = HERE.parent.parent
            self.process = subprocess.Popen(
                argv, stderr=log, cwd=root, env={"PYTHONPATH": str(root), **(environment or {})}
            )
        line = eventually(lambda: re.search(r"data=(\S+):(\d+) admin=(\S+)", self.log.read_text()[begin:]))
        assert line is not None
        self.address = (line[1], int(line[2]))
        self.admin = httpx.Client(base_url=f"http://{line[3]}")

    def publish(self, table: RouteTable) -> None:
        new = self.table.with_suffix(".new")
        new.write_bytes(write(table))
        new.replace(self.table)

    def ready(self) -> Self:
        eventually(lambda: self.admin.get("/readyz"), lambda answer: answer.status_code == 200)
        return self

    def report(self) -> dict[str, Any]:
        page: dict[str, Any] = self.admin.get("/table").json()
        return page

    def in_force(self, revision: int) -> None:
        eventually(self.report, lambda report: report["revision"] == revision)

    def pids(self) -> list[int]:
        return [worker["pid"] for worker in self.report()["workers"]]

    def connect(self, command: str) -> socket.socket:
        connection = socket.create_connection(self.address, timeout=20)
        connection.sendall(f"{command}\n".encode())
        return connection

    def ask(self, command: str) -> int:
        """The pid of the worker that answered."""
        with self.connect(command) as connection, connection.makefile() as lines:
            return int(lines.readline())

    def term(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        self.admin.close()
        self.process.kill()
        self.process.wait()
