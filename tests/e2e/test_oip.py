"""Programs that only know the Open Inference Protocol get through the gateway what MLServer itself answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deployer.runtimes.oip import tensors as oip_tensors
from gateway.contract import route_table
from gateway.contract.route_table import Endpoint, RouteTable
from tests.fakes.gateway import Gateway, deployment
from tests.fakes.oip_client import GATEWAYS, asked
from tests.fakes.rest_servers import Peer, Server, answer
from tests.fakes.turnout import Turnout

pytestmark = pytest.mark.slow

VERSIONS = ("v1", "v2")
NAME = "digits-oip"


@pytest.fixture(scope="module")
def turnout(tmp_path_factory: pytest.TempPathFactory, demo_models: Path) -> Iterator[Turnout]:
    folder = tmp_path_factory.mktemp("turnout")
    example = Path(__file__).parents[2] / "examples" / "digits-oip.yaml"
    (folder / "models").symlink_to(demo_models / "models")
    (folder / "digits-oip.yaml").write_text(example.read_text())
    with Turnout(folder) as running:
        up = running.up(str(folder / "digits-oip.yaml"))
        running.settled(NAME, seconds=240)
        yield running
        running.stop(up)


def endpoint(turnout: Turnout, version: str) -> Endpoint:
    """Of the version's own server."""
    routed = route_table.read((turnout.state.root / "routes.json").read_bytes()).table.find(NAME)
    assert routed is not None
    return routed.by_name[version].endpoints[0]


@pytest.fixture(scope="module", params=["rest", "grpc"])
def direct(request: pytest.FixtureRequest, turnout: Turnout) -> tuple[str, dict[str, dict[str, Any]]]:
    """The transport, and what each version's own server answers."""
    transport: str = request.param
    answers = {}
    for version in VERSIONS:
        at = endpoint(turnout, version)
        port = at.rest if transport == "rest" else at.grpc
        answers[version] = asked(transport, f"127.0.0.1:{port}", NAME, "", version)
    return transport, answers


def test_the_servers_answer_and_differ(direct: tuple[str, dict[str, dict[str, Any]]]) -> None:
    transport, answers = direct
    kinds = ("infer as JSON", "infer many as JSON") if transport == "rest" else ("infer", "infer many")
    for kind in kinds:
        for version in VERSIONS:
            assert answers[version][kind]["model_version"] == version
            assert answers[version][kind] == answers[version][f"{kind} {version}"]
        assert answers["v1"][kind]["values"] != answers["v2"][kind]["values"]


@pytest.mark.parametrize("way", ["plain", "deployment", "seldon"])
def test_tritons_client(turnout: Turnout, direct: tuple[str, dict[str, dict[str, Any]]], way: str) -> None:
    transport, servers = direct
    address, headers = f"127.0.0.1:{turnout.port}", {}
    if way == "deployment":
        headers = {"x_turnout_deployment": f"default/{NAME}"}
    elif way == "seldon" and transport == "grpc":
        headers = {"seldon": NAME, "namespace": "default"}
    elif way == "seldon":
        address += f"/seldon/default/{NAME}"
    answers = asked(transport, address, NAME, "", *VERSIONS, streams=False, **headers)
    questions = [question for question in servers["v1"] if not question.endswith(VERSIONS)]
    assert len(questions) > 9
    for question in questions:
        if question in GATEWAYS:
            continue
        for version in VERSIONS:
            assert answers[f"{question} {version}"] == servers[version][f"{question} {version}"]
        assert answers[question] in [servers[version][question] for version in VERSIONS]

    status, reason = answers["load"]["error"]
    assert (status in ("403", "StatusCode.PERMISSION_DENIED"), "set in the ModelDeployment" in reason) == (True, True)
    if way == "plain":
        assert "names no deployment" in answers["server metadata"]["error"][1]
        assert "no deployment nobody" in answers["infer no model"]["error"][1]
    else:
        assert answers["server metadata"] == servers["v1"]["server metadata"]
        assert "error" in answers["infer no model"]


def test_a_version_that_is_not_there(turnout: Turnout, direct: tuple[str, dict[str, dict[str, Any]]]) -> None:
    transport, _ = direct
    answers = asked(transport, f"127.0.0.1:{turnout.port}", NAME, "v9")
    missing = "404" if transport == "rest" else "StatusCode.NOT_FOUND"
    reason = f"Could not find version v9 of model {NAME}; known: v1, v2"
    inferences = [question for question in answers if question.startswith("infer") and "no model" not in question]
    assert len(inferences) == (8 if transport == "rest" else 4)
    for question in [*inferences, "metadata v9"]:
        assert answers[question] == {"error": [missing, reason]}


def test_the_split_and_the_metrics(turnout: Turnout) -> None:
    images = oip_tensors.body([[0.5] * 64])
    turnout.run("traffic", NAME, "v1=50", "v2=50")
    turnout.settled(NAME)
    seen = set()
    with httpx.Client(base_url=f"http://127.0.0.1:{turnout.port}", trust_env=False) as client:
        for _ in range(60):
            got = client.post(f"/v2/models/{NAME}/infer", json=images)
            assert got.status_code == 200
            assert got.json()["model_version"] == got.headers["x-turnout-version"]
            seen.add(got.headers["x-turnout-version"])
    assert seen == set(VERSIONS)
    metrics = httpx.get(f"http://127.0.0.1:{turnout.admin_port}/metrics", trust_env=False).text
    (requests,) = (family for family in text_string_to_metric_families(metrics) if family.name == "turnout_requests")
    counted = {(s.labels["deployment"], s.labels["version"], s.labels["protocol"]) for s in requests.samples if s.value}
    assert counted == {(NAME, version, f"oip-{transport}") for version in VERSIONS for transport in ("rest", "grpc")}


def test_predict_and_status(turnout: Turnout, demo_models: Path) -> None:
    with np.load(demo_models / "digits.npz") as data:
        rows = json.dumps(data["unseen_images"][:5].astype(float).tolist())
        labels = data["unseen_labels"][:5].tolist()
    for options in ((), ("--grpc",)):
        result = json.loads(turnout.run("predict", NAME, "-", "--version", "v2", "-o", "json", *options, input=rows))
        assert result["version"] == result["answer"]["model_version"] == "v2"
        assert result["answer"]["outputs"][0]["data"] == labels
    wrong = turnout.run("predict", NAME, "[[1, 2]]", "--version", "v1", "--grpc", code=1)
    assert "v1 answered INTERNAL: X has 2 features" in wrong
    assert "the data needs inputs" in turnout.run("predict", NAME, "{}", "--grpc", code=1)
    shown = json.loads(turnout.run("status", "-o", "json"))["deployments"][0]
    assert [(version["name"], version["condition"]) for version in shown["versions"]] == [
        ("v1", "Ready"),
        ("v2", "Ready"),
    ]


async def doubling(peer: Peer) -> None:
    """Answers in the binary form with twice the first tensor, which MLServer does not do."""
    while (came := await peer.request()) is not None:
        size = int(came.fields.get(b"inference-header-content-length", b"0"))
        if not size:
            await peer.send(answer(b'{"error": "no binary form"}', "400 Bad Request"))
            continue
        asked_for = json.loads(came.body[:size])
        tensor = asked_for["inputs"][0]
        assert tensor["parameters"]["binary_data_size"] == len(came.body) - size
        values = (np.frombuffer(came.body[size:], "<f4") * 2).tobytes()
        output = {**tensor, "name": "predict", "parameters": {"binary_data_size": len(values)}}
        head = json.dumps({"model_name": NAME, "model_version": "v1", "outputs": [output]}).encode()
        await peer.send(answer(head + values, "200 OK", f"Inference-Header-Content-Length: {len(head)}"))


def test_the_binary_form_is_carried_both_ways(
    servers: Callable[..., Server], start_gateway: Callable[..., Gateway]
) -> None:
    server = servers(doubling)
    routes = RouteTable(revision=1, deployments=(deployment(NAME, {"v1": [server]}, runtime="oip"),))
    gateway = start_gateway(routes)
    wanted = asked("rest", f"127.0.0.1:{server.port}", NAME, "v1")
    got = asked("rest", f"127.0.0.1:{gateway.address[1]}", NAME, "v1")
    for question in ("infer binary v1", "infer many binary v1"):
        assert got[question] == wanted[question]
        rows = 300 if "many" in question else 3
        expected = np.tile((np.arange(192, dtype=np.float32).reshape(3, 64) * 7 % 17) / 8, (rows // 3, 1))
        np.testing.assert_array_equal(got[question]["values"]["predict"], expected)
