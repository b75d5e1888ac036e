"""Programs that only know Seldon get from the gateway what the servers themselves answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.client_programs import PROGRAMS, VERSIONS, curl, endpoint, program, served
from tests.fakes.turnout import Turnout


@pytest.fixture(scope="module")
def turnout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnout]:
    versions = {
        version: {"model": str(PROGRAMS / "Echo.py"), "env": {"FACTOR": version.removeprefix("v")}}
        for version in VERSIONS
    }
    with served(tmp_path_factory.mktemp("turnout"), "seldon", "echo", versions) as running:
        yield running


def test_seldon_client(turnout: Turnout) -> None:
    gateway = f"127.0.0.1:{turnout.port}"
    servers = {version: endpoint(turnout, "echo", version) for version in VERSIONS}
    ways: list[tuple[str, str, str, dict[str, str] | None]] = []
    for version, at in servers.items():
        ways += [("seldon", "rest", f"127.0.0.1:{at.rest}", None), ("seldon", "grpc", f"127.0.0.1:{at.grpc}", None)]
        for kind in ("ambassador", "istio"):
            for transport in ("rest", "grpc"):
                ways += [(kind, transport, gateway, pin) for pin in ({"x-turnout-version": version}, None)]
    ways += [("seldon", transport, gateway, None) for transport in ("rest", "grpc")]
    got = program("seldon", "seldon_calls.py", "echo", json.dumps(ways))

    direct = {
        (transport, version): got[ways.index(("seldon", transport, f"127.0.0.1:{port}", None))]
        for version, at in servers.items()
        for transport, port in (("rest", at.rest), ("grpc", at.grpc))
    }
    for answers in direct.values():
        assert {case for case, (success, _, _) in answers.items() if not success} == {"predict wrong"}
    for (kind, transport, address, pin), answers in zip(ways, got, strict=True):
        if address != gateway:
            continue
        if kind == "seldon":
            for success, message, answer in answers.values():
                assert not success
                assert "400" in message or "names no deployment" in message, (message, answer)
            continue
        for case, answer in answers.items():
            # The client does not send the pin with feedback.
            by = VERSIONS if pin is None or case.startswith("feedback") else (pin["x-turnout-version"],)
            assert answer in [direct[transport, version][case] for version in by], (kind, transport, case)


PREDICTIONS = {
    '{"data": {"ndarray": [[1, 2]]}}': 200,
    '{"data": {"names": ["a", "b"], "tensor": {"shape": [1, 2], "values": [1, 2]}}}': 200,
    '{"strData": "text"}': 200,
    '{"binData": "AQID"}': 200,
    '{"jsonData": {"a": 1}}': 200,
    '{"strData": "raise"}': 422,
    "{": 400,
    "[]": 400,
}
FEEDBACK = {'{"request": {"data": {"ndarray": [[1, 2]]}}, "reward": 0.25}': 200, '{"reward": "much"}': 400}
SELDON_PATHS: dict[str, dict[str, int]] = {
    "/api/v1.0/predictions": PREDICTIONS,
    "/api/v1.0/feedback": FEEDBACK,
    "/api/v0.1/predictions": PREDICTIONS,
    "/api/v0.1/feedback": FEEDBACK,
    "/api/v1.0/metadata": {"": 200},
    "/api/v1.0/health/status": {"": 200},
    "/api/v1.0/status": {"": 500},  # the microservice has none
}


@pytest.mark.parametrize("prefix", ["/seldon/default/echo", "/seldon/echo"])
@pytest.mark.parametrize("pin", ["v1", "v2", None])
def test_curl_to_seldon(turnout: Turnout, tmp_path: Path, prefix: str, pin: str | None) -> None:
    pinned = () if pin is None else ("-H", f"x-turnout-version: {pin}")
    for path, bodies in SELDON_PATHS.items():
        for body, status in bodies.items():
            options = ("-H", "Content-Type: application/json", "-d", body) if body else ()
            answer, version = curl(turnout.port, prefix + path, *options, *pinned, folder=tmp_path)
            assert version in VERSIONS, (path, answer)
            assert pin in (None, version)
            direct, _ = curl(endpoint(turnout, "echo", version or "").rest, path, *options, folder=tmp_path)
            assert answer == direct, (path, body)
            assert answer.status == status, (path, body, answer)
