"""What `turnout` does before a command begins: each command's module is imported once it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.cli import main

NAMES = [
    "apply", "delete", "diff", "logs", "operator", "predict", "promote", "render", "rollback", "rollout", "schema",
    "simulate", "status", "traffic", "up", "validate",
]  # fmt: skip
PROGRAM = """
import sys
from deployer.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules)
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def test_what_the_terminal_can_not_show_is_replaced() -> None:
    command = [sys.executable, "-m", "deployer.cli.main", "simulate", "--rate", "100", "--steps", "50"]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out = subprocess.run(command, capture_output=True, env=ascii_only, check=True).stdout
    assert b"step of 50 %  " in out
    assert b"???" in out


def test_status_imports_nothing_of_other_commands(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "status", "--state", str(tmp_path)], capture_output=True, text=True, check=True
    )
    *shown, modules = ran.stdout.splitlines()
    assert shown == ["nothing runs: `turnout up FILE` starts it"]
    loaded = set(modules.split())
    ours = {name for name in loaded if name.startswith("deployer.cli.") and "client" not in name}
    assert ours == {"deployer.cli.main", "deployer.cli.show", "deployer.cli.options"}
    assert loaded & {"click", "rich"}
    assert loaded.isdisjoint({"kubernetes", "grpc", "google.protobuf", "httpx", "ruamel.yaml"})


def test_help_has_a_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    lines = [line.split(maxsplit=1) for line in out.partition("Commands:\n")[2].splitlines()]
    assert [name for name, _ in lines] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert (code, out.splitlines()[0].split()[:3]) == (0, ["Usage:", "turnout", name])


def test_a_shell_completes_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TURNOUT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "turnout ro")
    monkeypatch.setenv("COMP_CWORD", "1")
    _, out, _ = run(capsys)
    assert out == "plain,rollback\nplain,rollout\n"


def test_a_module_that_can_not_be_imported_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "deployer.cli.simulate", None)
    code, out, err = run(capsys, "simulate", "--rate", "1")
    assert (code, out) == (1, "")
    assert "a defect in turnout (ModuleNotFoundError: import of deployer.cli.simulate halted" in err
