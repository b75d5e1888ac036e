"""`turnout` itself, `validate` and `schema`, as a person or a script runs them."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deployer.cli import main
from deployer.document.json_schema import schema
from deployer.errors import TurnoutError

VALID = (Path(__file__).parents[3] / "fakes" / "documents" / "valid.yaml").read_text()
ROLLOUT = (Path(__file__).parents[3] / "fakes" / "documents" / "valid_rollout.yaml").read_text()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what went to stdout and stderr."""
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A valid document whose models are there."""
    for number in "12":
        folder = tmp_path / "models/digits" / number
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").touch()
    file = tmp_path / "digits.yaml"
    file.write_text(VALID)
    return file


def test_a_valid_document(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "validate", str(document)) == (0, "valid: default/digits\n", "")


def test_problems_go_to_stderr_one_a_line(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(VALID.replace("weight: 10", "weight: ten").replace("models/digits/2", "models/digits/3"))
    code, out, err = run(capsys, "validate", str(document))
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert first.startswith(f"{document}:11:14: spec.versions[1].model: ")
    assert "models/digits/3: no such model" in first
    assert second == f"{document}:20:13: spec.traffic.weight: 'ten' is not a number from 0 to 100"


def test_the_result_as_json(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "validate", "-o", "json", str(document))
    assert (code, err) == (0, "")
    assert json.loads(out) == {"valid": True, "deployments": ["default/digits"], "problems": [], "warnings": []}
    document.write_text(VALID.replace("stable: v1", "stable: v11"))
    code, out, err = run(capsys, "validate", "-o", "json", str(document))
    assert (code, err) == (1, "")
    assert json.loads(out) == {
        "valid": False,
        "deployments": [],
        "problems": [
            {
                "file": str(document),
                "line": 18,
                "column": 13,
                "path": "spec.traffic.stable",
                "message": "no version is called 'v11'",
                "hint": "did you mean 'v1'?",
            }
        ],
        "warnings": [],
    }


def test_a_rollout_that_takes_too_long_is_warned_of(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(ROLLOUT)
    code, out, err = run(capsys, "validate", str(document))
    assert (code, out) == (0, "valid: default/digits\n")
    least = re.search(r"below about ([0-9]+) requests/s the step of 1 % is overdue", err)
    assert least is not None, err
    enough = str(int(least[1]) * 2)
    assert run(capsys, "validate", "--rate", enough, str(document)) == (0, "valid: default/digits\n", "")
    code, out, _ = run(capsys, "validate", "--rate", "1", "-o", "json", str(document))
    assert code == 0
    assert json.loads(out)["warnings"] == [err.rstrip("\n")]


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == schema()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validat"], "Did you mean 'validate'?"),
        (["validate"], "Missing argument 'FILE...'"),
        (["validate", "--ouput", "json", "x"], "--output"),
        (["validate", "-o", "xml", "x"], "'xml' is not one of 'text', 'json'"),
        ([], "Usage: turnout"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["-h"], ["validate", "-h"], ["schema", "--help"]])
def test_help_and_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "turnout" in out


def fails_by(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(main.cli.commands, "fail", click.Command("fail", callback=fail))


def test_an_expected_error_is_its_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fails_by(monkeypatch, TurnoutError("port 8500 is taken; choose another by --port"))
    assert run(capsys, "fail") == (1, "", "port 8500 is taken; choose another by --port\n")


def test_what_the_system_refuses_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_by(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "/srv/lock"))
    code, out, err = run(capsys, "fail")
    assert (code, out) == (1, "")
    assert err == "/srv/lock: Permission denied; turnout has to write there: give it the right, or room\n"


def test_a_defect_leaves_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fails_by(monkeypatch, ZeroDivisionError("two\nlines"))
    code, out, err = run(capsys, "fail")
    (file,) = tmp_path.iterdir()
    assert (code, out) == (1, "")
    assert err == f"a defect in turnout (ZeroDivisionError: two); please report it with {file}\n"
    assert "Traceback" in file.read_text()


def test_as_a_process_that_reads_stdin() -> None:
    command = [sys.executable, "-m", "deployer.cli.main", "validate", "-"]
    done = subprocess.run(command, input=b"a: \xff", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == "<stdin>:1:4: byte 0xff is not UTF-8 (save the file as UTF-8)\n"
