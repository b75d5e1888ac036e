"""What a supervisor hears of rollouts from others, who may be slow, silent or gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployer.document.model import ModelDeployment
from deployer.local import poller
from deployer.local.gateway_process import Gateway, Options
from deployer.local.policy.plan import Phase
from deployer.local.poller import Poller
from deployer.local.replicas import Replica
from deployer.local.state_folder import Record, StateFolder
from deployer.rollout.providers.signatures import TRIES
from deployer.rollout.state import Rollout, VersionPair
from deployer.rollout.strategy import of
from tests.fakes.turnout import free_port, until

KEY = "default/digits"
METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}},
                    "outputs": {},
                }
            }
        }
    }
}


def document(**rollout: Any) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits"},
            "spec": {
                "runtime": "tfserving",
                "versions": [{"name": f"v{number}", "model": f"/models/digits/{number}"} for number in (1, 2)],
                "traffic": {"stable": "v1", "canary": "v2"},
                "rollout": rollout,
            },
        }
    )


def begun(document: ModelDeployment) -> Rollout:
    assert document.spec.rollout is not None
    return Rollout(VersionPair("v1", "v2"), of(document.spec.rollout), entered=0.0)


class Server:
    """Gives `answer` to whoever asks, once `gate` is open; `None`: that there is nothing. `asked` counts."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                server.gate.wait(30)
                self.send_response(404 if server.answer is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(server.answer).encode())

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.gate.set()
    server.http.shutdown()
    server.http.server_close()


def heard_by(folder: Path, port: int) -> closing[Poller]:
    return closing(Poller(Gateway(StateFolder(folder), Options(admin_port=port))))


def evidence(epoch: int) -> dict[str, Any]:
    report = {"epoch": epoch, "counts": [], "salt": "", "buckets": {}}
    return {"source": "s", "ready": True, "revision": 1, "deployments": {KEY: report}}


def test_counts_are_the_last_that_were_heard(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "EVERY", 0.01)
    server.answer = evidence(1)
    declared = document()
    with heard_by(tmp_path, server.port) as polling:
        assert polling.counts(declared, begun(declared)) == ((), ())  # nothing yet, and nobody is late
        until(lambda: polling.counts(declared, begun(declared))[0], "the gateway has said something")
        server.answer = evidence(2)
        until(lambda: polling.counts(declared, begun(declared))[0][0].epoch == 2, "it has said something else")
        server.answer = None
        until(lambda: polling.counts(declared, begun(declared))[1], "it says nothing that could be read")
        assert polling.counts(declared, begun(declared)) == ((), ("the gateway (its admin port answers 404)",))


def test_who_is_silent_holds_nobody_up_and_is_told(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "EVERY", 0.01)
    monkeypatch.setattr(poller, "STALE", 0.2)
    server.answer = evidence(1)
    declared = document()
    with heard_by(tmp_path, server.port) as polling:
        until(lambda: polling.counts(declared, begun(declared))[0], "the gateway has said something")
        server.gate.clear()
        silent = ((), ("the source of evidence",))
        until(lambda: polling.counts(declared, begun(declared)) == silent, "what it said is too old")
        server.gate.set()
        until(lambda: polling.counts(declared, begun(declared))[0], "it has said something again")


def test_a_rollout_that_is_over_is_forgotten(tmp_path: Path, server: Server) -> None:
    server.answer = evidence(1)
    declared = document()
    with heard_by(tmp_path, server.port) as polling:
        until(lambda: polling.counts(declared, begun(declared))[0], "the gateway has said something")
        polling.forget(KEY)
        assert polling.counts(declared, begun(declared)) == ((), ())


def test_prometheus_has_to_be_named(tmp_path: Path) -> None:
    declared = document(evidence="prometheus")
    with heard_by(tmp_path, free_port()) as polling:
        until(lambda: polling.counts(declared, begun(declared))[1], "it is said")
        assert "`turnout up --prometheus URL`" in polling.counts(declared, begun(declared))[1][0]


def test_metrics_of_the_users(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "METRICS_EVERY", 0.01)
    hook = {"name": "conversion", "webhook": f"http://127.0.0.1:{server.port}/", "min": 0.5}
    declared = document(objectives={"metrics": [hook]})
    server.answer = {"value": 0.75}
    with heard_by(tmp_path, free_port()) as polling:
        until(lambda: polling.metrics(declared, begun(declared)) == {"conversion": 0.75}, "it is read")
        server.answer = None
        until(lambda: isinstance(polling.metrics(declared, begun(declared)).get("conversion"), str), "it can't be read")
        assert polling.metrics(document(), begun(declared)) == {}


def replica(version: str, port: int) -> Replica:
    record = Record(deployment=KEY, version=version, index=0, digest=version, ports={"rest": port, "grpc": 1})
    return Replica(record, Phase.READY, since=0.0)


def test_a_signature_is_asked_for_until_it_is_told(tmp_path: Path, server: Server) -> None:
    """Or until it is clear that the server doesn't tell."""
    mute = Server()
    server.answer = METADATA
    ready = {"v1": replica("v1", server.port), "v2": replica("v2", mute.port)}
    declared = document()
    with heard_by(tmp_path, free_port()) as polling:
        assert polling.signatures(declared, "tfserving", ready) == ({}, set())
        until(lambda: len(polling.signatures(declared, "tfserving", ready)[1]) == 2, "both were asked")
        known, _ = polling.signatures(declared, "tfserving", ready)
        assert known.keys() == {"v1"}
        assert known["v1"].inputs["x"].type == "DT_FLOAT"
        assert (server.asked, mute.asked) == (1, TRIES)
    mute.http.shutdown()
    mute.http.server_close()
