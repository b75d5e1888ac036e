"""A real Prometheus, and what it scrapes."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from loadtests import tools
from tests.fakes.turnout import free_port, until


class Exporter:
    """Answers each GET with `text()`, with a 500 where that is None."""

    def __init__(self, text: Callable[[], str | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = text()
                self.send_response(500 if body is None else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((body or "").encode())

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Exporter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Prometheus:
    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False)

    def close(self) -> None:
        self._client.close()

    def query(self, text: str) -> list[float]:
        """The values of an instant query's result, without their labels."""
        answer = self._get("/query", query=text)
        assert answer["resultType"] == "vector"
        return [float(one["value"][1]) for one in answer["result"]]

    def reached(self) -> dict[str, str]:
        """`up`, `down` or `unknown` by the target's address."""
        return {one["labels"]["instance"]: one["health"] for one in self._get("/targets")["activeTargets"]}

    def ready(self) -> bool:
        try:
            return self._client.get("/status/buildinfo").is_success
        except httpx.TransportError:
            return False

    def _get(self, path: str, **query: str) -> Any:
        answer = self._client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()["data"]


@contextmanager
def prometheus(folder: Path, job: str, targets: Iterable[str], port: int | None = None) -> Iterator[Prometheus]:
    """One that scrapes `targets` each second, as the chart's monitors make it scrape. In a folder that had one before
    it goes on."""
    folder.mkdir(exist_ok=True)
    scrape = {"job_name": job, "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
    configuration = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
    port = port or free_port()
    log = folder / "prometheus.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                tools.prometheus(),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=output,
        )
    server = Prometheus(port)
    try:
        until(lambda: process.poll() is not None or server.ready(), "Prometheus answers")
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        server.close()
        process.kill()
        process.wait()
