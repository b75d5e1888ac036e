"""Clients as people have them get from the gateway what the model server itself would answer."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.contract.route_table import Endpoint, RouteTable
from loadtests import tools
from tests.fakes.gateway import PREDICT, Gateway, deployment, table
from tests.fakes.rest_servers import Server, always, answer, echo

pytestmark = pytest.mark.tools

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

JAVA = Path(__file__).parents[2] / "fakes" / "programs" / "DefaultClient.java"
BODY = '{"instances": [[1.0]]}'

BROWSER = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PAGE = """<!doctype html>
<script>
async function ask(path, options) {
  try {
    const answer = await fetch("http://%s" + path, options);
    return [answer.status, answer.headers.get("x-turnout-version"), await answer.text()];
  } catch (error) {
    return [error.name];
  }
}
(async () => {
  const post = {method: "POST", headers: {"Content-Type": "application/json", "X-User": "1"}, body: "{}"};
  const seen = {
    predict: await ask("/v1/models/m:predict", post),
    status: await ask("/v1/models/m"),
    refused: await ask("/v1/models/m/versions/9:predict", post),
    other: await ask("/v1/models/other:predict", post),
  };
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>
"""


def run(*command: str | Path) -> tuple[int, str]:
    """The exit status, and all that was written."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    return done.returncode, done.stdout


def urls(gateway: Gateway, server: Server) -> list[str]:
    return [f"http://127.0.0.1:{port}{PREDICT}" for port in (server.port, gateway.address[1])]


def test_javas_http_client_as_it_comes(servers: Servers, start_gateway: Start) -> None:
    server = servers(echo)
    direct, through = [run(tools.java(), JAVA, url, BODY) for url in urls(start_gateway(table(v1=[server])), server)]
    assert direct == through == (0, f"HTTP_1_1 200 {BODY}\n" * 2)


@pytest.mark.parametrize("option", ["--http2", "--http1.1", "--http1.0"])
def test_curl(servers: Servers, start_gateway: Start, option: str) -> None:
    server = servers(echo)
    direct, through = [
        run(tools.curl(), "-sS", option, "-d", BODY, "-w", " %{http_code}", url)
        for url in urls(start_gateway(table(v1=[server])), server)
    ]
    assert direct == through == (0, f"{BODY} 200")


@pytest.fixture
def bare() -> Iterator[Endpoint]:
    """A gRPC server that serves nothing, neither reflection nor health."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Endpoint(host="127.0.0.1", rest=1, grpc=port)
    server.stop(None).wait()


def test_grpcurl_finds_no_reflection(bare: Endpoint, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[bare]))
    direct, through = [
        run(tools.grpcurl(), "-plaintext", f"127.0.0.1:{port}", "list") for port in (bare.grpc, gateway.address[1])
    ]
    assert direct == through == (1, "Failed to list services: server does not support the reflection API\n")


def test_grpc_health_probe(bare: Endpoint, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[bare]))
    probe = (tools.grpc_health_probe(), "-addr", f"127.0.0.1:{gateway.address[1]}")
    assert run(*probe) == (0, "status: SERVING\n")
    assert run(*probe, "-service", "tensorflow.serving.PredictionService") == (0, "status: SERVING\n")
    status, output = run(*probe, "-service", "nobody")
    assert status == 3
    assert "code = NotFound" in output


@contextmanager
def site(page: str) -> Iterator[tuple[int, queue.Queue[Any]]]:
    """A site of one page: its port, and what that posts to /seen."""
    seen: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(page.encode())

        def do_POST(self) -> None:
            seen.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, seen
        server.shutdown()


@pytest.mark.parametrize(("host", "may"), [("127.0.0.1", True), ("localhost", False)])
def test_a_pages_fetch(servers: Servers, start_gateway: Start, tmp_path: Path, host: str, may: bool) -> None:
    """By a real browser: a page that the document names, and the same one under another name."""
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(None)
    with site(PAGE % f"127.0.0.1:{gateway.address[1]}") as (port, seen):
        deployments = (
            deployment("m", {"v1": [server]}, cors=[f"http://127.0.0.1:{port}"]),
            deployment("other", {"v1": [server]}, cors=["https://other.example.com"]),
        )
        gateway.swap(RouteTable(revision=1, deployments=deployments))
        command = [tools.chromium(), *BROWSER, f"--user-data-dir={tmp_path}", f"http://{host}:{port}/"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found = seen.get(timeout=120)
        finally:
            browser.terminate()
            browser.wait(timeout=60)
    assert found["other"] == ["TypeError"]
    if may:
        assert (found["predict"], found["status"]) == ([200, "v1", "{}"], [200, "v1", "{}"])
        assert found["refused"][0] == 404
        assert "Could not find version 9" in found["refused"][2]
    else:
        assert found["predict"] == found["status"] == found["refused"] == ["TypeError"]
