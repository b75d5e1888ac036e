"""`turnout status`, over statuses as a supervisor would have left them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.cli import main
from deployer.document.model import ModelDeployment
from deployer.local.policy.status import Condition, DeploymentStatus, VersionStatus
from deployer.local.state_folder import StateFolder

DOCUMENT = ModelDeployment.model_validate(
    {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits-seldon"},
        "spec": {
            "runtime": "seldon",
            "versions": [{"name": "v1", "model": "/models/1"}, {"name": "v2", "model": "/models/2"}],
            "traffic": {"stable": "v1", "canary": "v2", "weight": 10.0},
        },
    }
)
REASON = "ended with exit code 1: [/red] no such layer [bold]; " + "the file is cut off, " * 8


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    ready = VersionStatus(
        name="v1",
        role="stable",
        share=100,
        condition=Condition.READY,
        runtime="seldon (seldon-core-microservice)",
        ready=1,
        desired=1,
        requests_per_second=1234.5,
        failures_per_second=0.0,
    )
    broken = ready.model_copy(
        update={"name": "v2", "role": "canary", "share": 0, "condition": Condition.FAILED, "reason": REASON}
    )
    status = DeploymentStatus(
        namespace="default",
        name="digits-seldon",
        document="",
        revision=1,
        in_force=True,
        routed=False,
        settled=False,
        versions=(ready, broken),
    )
    state = StateFolder(tmp_path)
    state.write_document(DOCUMENT)
    state.write_status(DOCUMENT.key, status)
    return state


def shown(state: StateFolder, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, str]:
    with pytest.raises(SystemExit):
        main.main(["status", "--state", str(state.root), *options])
    out, err = capsys.readouterr()
    return out, err


def test_it_fits_on_80_columns(
    state: StateFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal, of this width
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    out, _ = shown(state, capsys)
    lines = out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split()[:3] == ["DEPLOYMENT", "VERSION", "ROLE"]
    assert lines[0].endswith("CONDITION")
    assert lines[1].split()[0] + lines[2].strip() == "default/digits-seldon"  # too long for its column, so folded
    assert [line.split()[-1] for line in lines if "1234.5/s" in line] == ["Ready", "Failed"]


def test_a_reason_is_shown_as_it_is(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(state, capsys)
    assert f"default/digits-seldon v2: {REASON[:100]}" in out
    assert "served by seldon (seldon-core-microservice)\n" in out
    as_json, _ = shown(state, capsys, "-o", "json")
    assert json.loads(as_json)["deployments"][0]["versions"][1]["reason"] == REASON


def test_a_status_of_another_release(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    next((state.root / "status").glob("*.json")).write_text('{"form": "of tomorrow"}')
    _, err = shown(state, capsys)
    assert "the status of default/digits-seldon is of another release" in err
