"""The peers stand before the same upstream: the same answers, the same split, and the load sees what goes wrong."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest

from loadtests import envoy, generators, payloads, peers
from loadtests.report import Run, faults
from protos.methods import PREDICT

pytestmark = pytest.mark.tools

ANY = sorted(os.sched_getaffinity(0))
PEERS: dict[str, Callable[[envoy.Ports, Path], AbstractContextManager[peers.Peer]]] = {
    "turnout": lambda ports, folder: peers.turnout(ports, ANY, folder),
    "envoy": lambda ports, folder: peers.envoy_proxy(ports, ANY, folder),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    payloads.write(folder)
    return folder


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[envoy.Ports]:
    with peers.upstream(ANY, folder) as ports:
        yield ports


@pytest.fixture(scope="module", params=PEERS)
def peer(request: pytest.FixtureRequest, ports: envoy.Ports, folder: Path) -> Iterator[peers.Peer]:
    with PEERS[request.param](ports, folder) as peer:
        yield peer


def test_rest_answers_are_the_versions_own(peer: peers.Peer, folder: Path) -> None:
    url = f"http://127.0.0.1:{peer.ports['rest']}/v1/models/{payloads.MODEL}:predict"
    seen = set()
    for _ in range(200):  # none of 200 goes to a canary with 10 % once in 1e9 times
        request = urllib.request.Request(url, (folder / "request.json").read_bytes())
        with urllib.request.urlopen(request, timeout=10) as answer:
            version = answer.headers["x-turnout-version"]
            assert json.load(answer) == {"predictions": [[payloads.SCORES[version]] * 10]}
            seen.add(version)
    assert seen == {"v1", "v2"}


def test_grpc_answers_are_the_versions_own(peer: peers.Peer, folder: Path) -> None:
    request = PREDICT.request.FromString((folder / "request.pb").read_bytes())
    seen = set()
    with grpc.insecure_channel(f"127.0.0.1:{peer.ports['grpc']}") as channel:
        predict = channel.unary_unary(PREDICT.path, PREDICT.request.SerializeToString, lambda message: message)
        for _ in range(200):
            answer, call = predict.with_call(request, timeout=10)
            [version] = [value for key, value in call.initial_metadata() if key == "x-turnout-version"]
            assert isinstance(version, str)
            assert answer == (folder / f"{version}.pb").read_bytes()
            seen.add(version)
    assert seen == {"v1", "v2"}


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_load_finds_no_fault_and_costs_cpu(peer: peers.Peer, folder: Path, protocol: str) -> None:
    before = peer.cpu_seconds()
    saw = generators.run(protocol, peer.ports[protocol], folder, 1, ANY)
    assert faults(protocol, {"peer": [Run(saw, 1.0)]}, peers.WEIGHTS["v2"] / 100) == []
    assert sum(saw.versions.values()) == pytest.approx(saw.requests, abs=generators.CONNECTIONS["rest"])
    assert 0 < saw.p50 <= saw.p99
    assert peer.cpu_seconds() > before


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_wrong_answer_is_counted(ports: envoy.Ports, folder: Path, tmp_path: Path, protocol: str) -> None:
    # Asked directly, v2 gives other bytes than v1, which is what a load that is told no version expects.
    saw = generators.run(protocol, ports["v2"][protocol], folder, 1, ANY)
    assert saw.wrong == pytest.approx(saw.requests, abs=generators.CONNECTIONS["rest"])


@pytest.mark.parametrize(("protocol", "name"), [("rest", "request.json"), ("grpc", "request.pb")])
def test_a_request_that_arrives_changed_is_no_success(
    ports: envoy.Ports, folder: Path, tmp_path: Path, protocol: str, name: str
) -> None:
    payloads.write(tmp_path)
    (tmp_path / name).write_bytes((folder / name).read_bytes() + b"\x18\x00")
    port = ports["v1"][protocol]
    if protocol == "grpc":
        with pytest.raises(RuntimeError, match="the request arrived changed"):
            generators.run(protocol, port, tmp_path, 1, ANY)
    else:
        saw = generators.run(protocol, port, tmp_path, 1, ANY)
        assert saw.errors["status"] == saw.requests
        assert saw.wrong == pytest.approx(saw.requests, abs=generators.CONNECTIONS["rest"])


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_port_that_nobody_answers_is_an_error(folder: Path, protocol: str) -> None:
    with pytest.raises(RuntimeError, match="refused"):
        generators.run(protocol, 1, folder, 1, ANY)


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_enforces_the_deadline(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "DEADLINE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nothing is ever read
        port = silent.getsockname()[1]
        silents = {version: {"rest": port, "grpc": port} for version in peers.WEIGHTS}
        with PEERS[name](silents, folder) as peer:
            url = f"http://127.0.0.1:{peer.ports['rest']}/v1/models/{payloads.MODEL}:predict"
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, b"{}", timeout=30)
            with refused.value:
                assert refused.value.code == 504
            with grpc.insecure_channel(f"127.0.0.1:{peer.ports['grpc']}") as channel:
                predict = channel.unary_unary(
                    PREDICT.path, PREDICT.request.SerializeToString, PREDICT.response.FromString
                )
                with pytest.raises(grpc.RpcError) as late:  # without a deadline of its own: the peer's counts
                    predict(PREDICT.request.FromString((folder / "request.pb").read_bytes()))
                assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
