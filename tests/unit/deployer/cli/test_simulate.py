"""`turnout simulate`, as a person or a script runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.cli import main, simulate

DOCUMENT = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelDeployment
metadata: {name: digits}
spec:
  runtime: tfserving
  versions: [{name: v1, model: models/1}, {name: v2, model: models/2}]
  traffic: {stable: v1, canary: v2, sticky: {header: x-user-id}}
  rollout:
    steps: [50]
    pauses: [{at: 50}]
    objectives: {errors: {margin: 3, max: 0.2}, slow: {over: 50ms}}
"""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "RUNS", 10)
    monkeypatch.setattr(simulate, "WORSE_RUNS", 5)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "digits.yaml"
    file.write_text(DOCUMENT)
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what went to stdout and stderr."""
    with pytest.raises(SystemExit) as caught:
        main.main(["simulate", *arguments])
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, err = run(capsys, *arguments, "-o", "json")
    assert (code, err) == (0, "")
    return json.loads(out)["rollouts"]


def test_a_plain_rollout(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--rate", "1000")
    assert (code, err) == (0, "")
    assert "1000 requests/s; errors 1.00%, rejections 1.00%" in out
    rows = {line.partition("  ")[0]: line.split() for line in out.splitlines()}
    assert {"step of 5 %", "step of 25 %", "step of 50 %", "until it has all traffic"} <= set(rows)
    for ratio in (2, 3, 5, 20):
        assert f"{ratio} times the errors" in out
    assert "█" in out


def test_a_document_is_simulated_as_it_is_written(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [result] = answer(capsys, str(document), "--rate", "500", "--errors", "0.02")
    assert result["deployment"] == "default/digits"
    assert result["bad"] == {"errors": 0.02, "rejections": 0.01, "slow": 0.01}
    assert [step["weight"] for step in result["good"]["steps"]] == [50]
    assert result["good"]["promoted"] == 1  # nobody has to approve
    caught = {worse["ratio"]: worse for worse in result["worse"] if worse["objective"] == "errors"}
    assert list(caught) == [2, 3, 5, 20]
    assert caught[5]["rolledBack"] == caught[20]["rolledBack"] == 1
    assert caught[20]["seconds"]["median"] <= caught[5]["seconds"]["median"]
    assert caught[20]["badRequests"]["median"] > 0


def test_the_same_question_has_the_same_answer(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = (str(document), "--rate", "100", "--users", "2000")
    assert answer(capsys, *question) == answer(capsys, *question)


def test_what_is_given_stands_before_what_is_written(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(DOCUMENT.replace("    pauses: [{at: 50}]\n", ""))
    [result] = answer(capsys, str(document), "--rate", "1000", "--steps", "20,40", "--interval", "300s")
    assert [step["weight"] for step in result["good"]["steps"]] == [20, 40]
    assert result["good"]["seconds"]["median"] >= 600


def test_too_few_requests_are_told(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [result] = answer(capsys, str(document), "--rate", "1")
    assert result["good"]["overdue"] == 1
    code, out, _ = run(capsys, str(document), "--rate", "1")
    assert code == 0
    assert "in 100.0% a step is overdue" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing option '--rate'"),
        (["--rate", "0"], 2, "0.0 is not in the range 0<x<=1000000"),
        (["--rate", "nan"], 2, "nan is no number"),
        (["--rate", "1", "--errors", "nan"], 2, "nan is no number"),
        (["--rate", "1", "--steps", "5,many"], 2, "'5,many' is no list of percentages such as 5,25,50"),
        (["--rate", "1", "--steps", "25,5"], 1, "--steps: 5 does not rise above the step before it, 25"),
        (["--rate", "1", "--interval", "soon"], 1, "--interval: 'soon'"),
        (["--rate", "1", "--interval", "2h"], 1, "--interval: a step takes 2h at least, and is overdue after 1h"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert message in err


def test_a_document_without_a_rollout_is_refused(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(DOCUMENT[: DOCUMENT.index("  rollout:")])
    code, out, err = run(capsys, str(document), "--rate", "1")
    assert (code, out) == (1, "")
    assert err == "default/digits has no rollout; add one to its spec, or give one with --steps\n"
    assert run(capsys, str(document), "--rate", "1000", "--steps", "50")[0] == 0
