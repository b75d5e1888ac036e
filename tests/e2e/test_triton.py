"""The real Triton on this machine: through the gateway it answers what it answers itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from examples.demo.seldon.Centroids import Centroids
from examples.demo.seldon.Network import Network
from gateway.contract import route_table
from tests.fakes.oip_client import GATEWAYS, asked
from tests.fakes.turnout import Turnout

pytestmark = pytest.mark.slow

NAME = "digits-triton"
NUMBERS = {"v1": "1", "v2": "2"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, demo_models: Path) -> Path:
    folder = tmp_path_factory.mktemp("turnout")
    example = Path(__file__).parents[2] / "examples" / "digits-triton.yaml"
    (folder / "models").symlink_to(demo_models / "models")
    (folder / example.name).write_text(example.read_text())
    return folder / example.name


@pytest.fixture(scope="module")
def turnout(document: Path) -> Iterator[Turnout]:
    with Turnout(document.parent) as running:
        up = running.up(str(document))
        running.settled(NAME, seconds=240)
        yield running
        running.stop(up)


def test_the_example_is_valid_and_renders(turnout: Turnout, document: Path) -> None:
    turnout.run("validate", str(document))
    objects = YAML(typ="safe").load_all(turnout.run("render", str(document)))
    servers = [made["spec"]["template"]["spec"] for made in objects if made["kind"] == "Deployment"]
    assert [server["containers"][0]["args"][-1] for server in servers] == ["--model-repository=/mnt/models"] * 2
    assert [server["initContainers"][0]["command"][4:] for server in servers] == [
        [f"/models/{NAME}/{number}", f"/mnt/models/{NAME}/{number}"] for number in NUMBERS.values()
    ]


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_the_gateway_passes_on_what_each_server_answers(turnout: Turnout, transport: str) -> None:
    routed = route_table.read((turnout.state.root / "routes.json").read_bytes()).table.find(NAME)
    assert routed is not None
    direct: dict[str, dict[str, Any]] = {}
    for version, number in NUMBERS.items():
        at = routed.by_name[version].endpoints[0]
        port = at.rest if transport == "rest" else at.grpc
        direct[number] = asked(transport, f"127.0.0.1:{port}", NAME, "", number, streams=True)
    through = asked(transport, f"127.0.0.1:{turnout.port}", NAME, "", *NUMBERS.values(), streams=True)
    questions = [question for question in direct["1"] if not question.endswith(" 1") and question not in GATEWAYS]
    assert len(questions) > 7
    for question in questions:
        for number, answers in direct.items():
            assert through[f"{question} {number}"] == answers[f"{question} {number}"]
        assert through[question] in [answers[question] for answers in direct.values()]
    kind = "infer as JSON" if transport == "rest" else "infer"
    assert [answers[kind]["model_version"] for answers in direct.values()] == ["1", "2"]
    assert direct["1"][kind]["values"]["scores"] != direct["2"][kind]["values"]["scores"]


def test_the_numbers_are_those_of_the_same_model_under_seldon(
    turnout: Turnout, demo_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(demo_models / "digits.npz") as data:
        images, labels = data["unseen_images"][:50], data["unseen_labels"][:50]
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "FP32", "data": images.ravel().tolist()}
    models: dict[str, Centroids | Network] = {"v1": Centroids(), "v2": Network()}
    for version, model in models.items():
        monkeypatch.chdir(demo_models / "models" / "digits-seldon" / version)
        model.load()
        wanted = model.predict(images.astype(np.float32), [])
        for options in ((), ("--grpc",)):
            body = json.dumps({"inputs": [tensor]})
            result = json.loads(
                turnout.run("predict", NAME, "-", "--version", version, "-o", "json", *options, input=body)
            )
            assert (result["version"], result["answer"]["model_version"]) == (version, NUMBERS[version])
            outputs = {output["name"]: np.array(output["data"]) for output in result["answer"]["outputs"]}
            np.testing.assert_array_equal(outputs["scores"].reshape(wanted.shape), wanted)
            assert (outputs["predict"] == labels).mean() > 0.6
    assert "Triton takes inputs by name and type" in turnout.run("predict", NAME, "[[1, 2]]", code=1)


def test_the_status_names_the_server_and_its_versions(turnout: Turnout) -> None:
    (shown,) = json.loads(turnout.run("status", "-o", "json"))["deployments"]
    assert [(version["name"], version["condition"]) for version in shown["versions"]] == [
        ("v1", "Ready"),
        ("v2", "Ready"),
    ]
