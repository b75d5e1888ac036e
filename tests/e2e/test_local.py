"""The command line with the real runtimes and the demo's real models."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes.turnout import Load, Turnout, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def turnout(tmp_path: Path, demo_models: Path) -> Iterator[Turnout]:
    """Beside it lie the models, and the examples that name them."""
    (tmp_path / "models").symlink_to(demo_models / "models")
    for example in ("digits.yaml", "digits-seldon.yaml"):
        shutil.copy(ROOT / "examples" / example, tmp_path)
    with Turnout(tmp_path) as running:
        yield running


@pytest.fixture
def digit(demo_models: Path) -> list[float]:
    with np.load(demo_models / "digits.npz") as data:
        return [float(value) for value in data["unseen_images"][0]]


def tfserving(turnout: Turnout, digit: list[float]) -> Load:
    return Load(f"http://127.0.0.1:{turnout.port}/v1/models/digits:predict", {"instances": [digit]})


def seldon(turnout: Turnout, digit: list[float]) -> Load:
    path = "/seldon/default/digits-seldon/api/v1.0/predictions"
    return Load(f"http://127.0.0.1:{turnout.port}{path}", {"data": {"ndarray": [digit]}})


def predicted(turnout: Turnout, name: str, digit: list[float], *options: str) -> tuple[str, Any]:
    answer = json.loads(turnout.run("predict", name, "-", "-o", "json", *options, input=json.dumps([digit])))
    return answer["version"], answer["answer"]


def test_both_runtimes_serve_behind_one_address(turnout: Turnout, digit: list[float]) -> None:
    up = turnout.up(str(turnout.folder / "digits.yaml"), str(turnout.folder / "digits-seldon.yaml"))
    for name in ("digits", "digits-seldon"):
        turnout.settled(name, seconds=240)
    runtimes = {name: turnout.version("v1", name)["runtime"] for name in ("digits", "digits-seldon")}
    assert runtimes["digits"] in ("tfserving (stand-in)", "tfserving (tensorflow_model_server)")
    assert runtimes["digits-seldon"] == "seldon (seldon-core-microservice)"

    answers = {}
    for version in ("v1", "v2"):
        by, rest = predicted(turnout, "digits", digit, "--version", version)
        assert by == version
        by, over_grpc = predicted(turnout, "digits", digit, "--version", version, "--grpc")
        assert by == version
        answers[version] = rest["predictions"][0]
        for output, value in answers[version].items():
            assert np.allclose(value, over_grpc["outputs"][output][0], rtol=1e-5)
    assert answers["v1"] != answers["v2"]

    for version in ("v1", "v2"):
        by, rest = predicted(turnout, "digits-seldon", digit, "--version", version)
        assert by == version
        by, over_grpc = predicted(turnout, "digits-seldon", digit, "--version", version, "--grpc")
        assert by == version
        assert np.allclose(rest["data"]["ndarray"], over_grpc["data"]["ndarray"])

    with tfserving(turnout, digit) as first, seldon(turnout, digit) as second:
        for name in ("digits", "digits-seldon"):
            assert "v2 50 %" in turnout.run("traffic", name, "v1=50", "v2=50")
        first.more(50)
        second.more(50)
        for requests in (first, second):
            assert requests.failures == []
            assert requests.versions["v1"] > 5
            assert requests.versions["v2"] > 5
        for name in ("digits", "digits-seldon"):
            turnout.run("promote", name)
        before = first.versions["v1"], second.versions["v1"]
        first.more(20)
        second.more(20)
        assert first.versions["v1"] <= before[0] + 1
        assert second.versions["v1"] <= before[1] + 1
        assert first.failures == second.failures == []
    turnout.stop(up)
    assert turnout.left() == []


def test_a_killed_supervisor_costs_no_request(turnout: Turnout, digit: list[float]) -> None:
    examples = [str(turnout.folder / "digits.yaml"), str(turnout.folder / "digits-seldon.yaml")]
    first = turnout.up(*examples)
    for name in ("digits", "digits-seldon"):
        turnout.settled(name, seconds=240)
    pids = turnout.pids()
    with tfserving(turnout, digit) as requests, seldon(turnout, digit) as others:
        requests.more(50)
        first.kill()
        first.wait()
        requests.more(50)
        second = turnout.up(*examples, ports=False)
        until(lambda: turnout.state.supervisor() == second.pid, "the second supervises")
        requests.more(250)
        assert requests.failures == others.failures == []
    assert turnout.pids() == pids
    turnout.stop(second, signal.SIGTERM)
    assert turnout.left() == []


def test_a_killed_replica_comes_back(turnout: Turnout, digit: list[float]) -> None:
    version = {"name": "v1", "model": "models/digits/1", "autoscaling": {"minReplicas": 2, "maxReplicas": 2}}
    document = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {"runtime": "tfserving", "versions": [version], "traffic": {"stable": "v1"}},
    }
    path = turnout.folder / "two.yaml"
    path.write_text(json.dumps(document))
    up = turnout.up(str(path))
    turnout.settled(seconds=240)
    with tfserving(turnout, digit) as requests:
        requests.more(20)
        os.kill(turnout.pids()["default.digits.v1.0"], signal.SIGKILL)
        until(lambda: turnout.version("v1")["restarts"] == 1 and turnout.version("v1")["ready"] == 2, "back", 120)
        requests.more(20)
        assert requests.failures == []
    turnout.stop(up)


def test_a_saved_model_that_does_not_load_is_told(turnout: Turnout, digit: list[float]) -> None:
    broken = turnout.folder / "broken" / "2"
    shutil.copytree(turnout.folder / "models" / "digits" / "2", broken)
    (broken / "saved_model.pb").write_bytes(b"no graph")
    path = turnout.folder / "digits.yaml"
    path.write_text(path.read_text().replace("models/digits/2", "broken/2"))
    up = turnout.up(str(path))
    until(lambda: turnout.version("v2").get("condition") == "Failed", "v2 has failed", 240)
    until(lambda: turnout.version("v1").get("condition") == "Ready", "v1 is ready", 240)
    reason = turnout.version("v2")["reason"]
    assert reason
    assert "Traceback" not in reason
    shown = turnout.run("status")
    assert "Failed" in shown
    assert "its 10 % stay with v1" in shown
    assert predicted(turnout, "digits", digit)[0] == "v1"
    assert reason[:60] in turnout.run("apply", str(path), code=1)
    turnout.stop(up)
    assert turnout.left() == []


def test_a_model_folder_that_does_not_exist_is_told_before_anything_starts(turnout: Turnout) -> None:
    path = turnout.folder / "digits.yaml"
    path.write_text(path.read_text().replace("models/digits/2", "models/digits/3"))
    stderr = turnout.run("up", str(path), code=1)
    assert "digits.yaml:" in stderr
    assert "no such model" in stderr
    assert turnout.left() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "digits", "[[1, 2]]"), "400"),
        (("predict", "digits", "[[1, 2]]", "--grpc"), "INVALID_ARGUMENT"),
        (("predict", "digits", "{}"), "400"),
        (("predict", "digits", "{}", "--grpc"), "instances"),
        (("predict", "digits", "[[1"), "is no JSON"),
        (("predict", "digits", "@nowhere.json"), "nowhere.json can't be read"),
        (("predict", "digits", "[[1]]", "--version", "v3"), "no version v3; its versions are v1, v2"),
        (("traffic", "digits", "v1=90"), "sum to 100"),
        (("logs", "digit", "v1"), "did you mean digits?"),
    ],
)
def test_what_is_asked_wrongly(serving: Turnout, arguments: tuple[str, ...], message: str) -> None:
    stderr = serving.run(*arguments, code=1)
    assert message in stderr
    assert "Traceback" not in stderr


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, demo_models: Path) -> Iterator[Turnout]:
    folder = tmp_path_factory.mktemp("serving")
    (folder / "models").symlink_to(demo_models / "models")
    shutil.copy(ROOT / "examples" / "digits.yaml", folder)
    with Turnout(folder) as running:
        up = running.up(str(folder / "digits.yaml"))
        running.settled(seconds=240)
        yield running
        running.stop(up)
