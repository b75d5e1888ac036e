"""`turnout rollout --kubernetes` against an API server that a played cluster stands behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployer.cli.client import cluster
from deployer.cli.main import cli
from deployer.errors import TurnoutError
from deployer.rollout.state import Phase
from tests.fakes.rolling_cluster import RollingCluster
from tests.unit.deployer.kubernetes.rollout.test_look import rolling

PATH = "/apis/turnout.dev/v1alpha1/namespaces/default/modeldeployments/digits"


class Server:
    """Has the world's ModelDeployment; the operator looks at it before each answer, unless it is `away`."""

    def __init__(self, world: RollingCluster) -> None:
        self.away = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != PATH:
                    self._say(404, {"kind": "Status", "code": 404, "message": "not found"})
                    return
                if not server.away:
                    world.look()
                self._say(200, world.resource)

            def do_PATCH(self) -> None:
                assert self.headers["content-type"] == "application/merge-patch+json"
                patch = json.loads(self.rfile.read(int(self.headers["content-length"])))
                world.annotate(patch["metadata"]["annotations"]["turnout.dev/action"])
                self._say(200, world.resource)

            def _say(self, status: int, content: Any) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def kubeconfig(self, folder: Path) -> str:
        address = f"http://127.0.0.1:{self.http.server_address[1]}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "played", "cluster": {"server": address}}],
            "users": [{"name": "someone", "user": {}}],
            "contexts": [{"name": "played", "context": {"cluster": "played", "user": "someone"}}],
            "current-context": "played",
        }
        file = folder / "kubeconfig.json"
        file.write_text(json.dumps(content))
        return str(file)


@pytest.fixture
def world() -> RollingCluster:
    world = rolling()
    world.until_weight(5)
    return world


@pytest.fixture
def server(world: RollingCluster) -> Iterator[Server]:
    server = Server(world)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def turnout(server: Server, tmp_path: Path) -> Callable[..., Result]:
    kubeconfig = server.kubeconfig(tmp_path)

    def run(*arguments: str, name: str = "digits") -> Result:
        command, *options = arguments
        where = ("--kubernetes", "--kubeconfig", kubeconfig)
        return CliRunner().invoke(cli, ["rollout", command, name, *where, *options])

    return run


def test_orders_are_given_and_taken(turnout: Callable[..., Result], world: RollingCluster) -> None:
    paused = turnout("pause")
    assert paused.exit_code == 0, paused.exception
    assert "paused by hand" in paused.output
    assert world.rollout.paused == "paused by hand"
    assert turnout("resume", name="default/digits").exit_code == 0
    assert turnout("rollback", "--output", "json", "--namespace", "default").exit_code == 0
    world.until_phase(Phase.ROLLED_BACK)
    assert "rolled back by hand" in turnout("explain").output


def test_an_order_without_sense_is_refused(turnout: Callable[..., Result]) -> None:
    refused = turnout("retry")
    assert isinstance(refused.exception, TurnoutError)
    assert "nothing to retry" in str(refused.exception)


def test_one_that_is_not_there_is_told(turnout: Callable[..., Result]) -> None:
    missing = turnout("explain", name="letters")
    assert str(missing.exception).startswith("there is no ModelDeployment letters in default")


def test_without_an_operator_the_order_waits(
    turnout: Callable[..., Result], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    server.away = True
    assert str(turnout("pause").exception).startswith("the operator has not taken the action within")


def test_options_of_a_cluster_need_one() -> None:
    refused = CliRunner().invoke(cli, ["rollout", "pause", "digits", "--namespace", "vision"])
    assert refused.exit_code == 2
    assert "add --kubernetes" in refused.output
