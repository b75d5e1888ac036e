"""Each command of `turnout` has all its parts, and a test says which one is missing."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import deployer.cli
from deployer.cli.main import cli

ROOT = Path(__file__).parents[4]
PAGES = ("README.md", "docs/rollouts.md", "docs/kubernetes.md", "docs/reference/document.md")
"""What users read."""
RUNNERS = {"run", "start", "invoke", "main", "Popen"}
"""How the functions are called by which tests run any command."""


def commands(group: click.Command, *path: str) -> Iterator[tuple[click.Command, tuple[str, ...]]]:
    """Each command, with the words by which it is run."""
    if not isinstance(group, click.Group):
        yield group, path
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield from commands(command, *path, name)


ALL = {" ".join(path): (command, path) for command, path in commands(cli)}


def defined() -> dict[str, list[str]]:
    """The commands and groups that the files of deployer/cli/ define: their names, by the file's."""
    return {
        f"deployer/cli/{name}.py": sorted(
            value.name or ""
            for value in vars(importlib.import_module(f"deployer.cli.{name}")).values()
            if isinstance(value, click.Command) and value is not cli
        )
        for _, name, _ in pkgutil.iter_modules(deployer.cli.__path__)
    }


def missing(command: click.Command, *path: str) -> Iterator[str]:
    """The parts that the command lacks, each with where it belongs."""
    name = "turnout " + " ".join(path)
    if not command.help:
        yield f"{name}: a line on what it does, as its function's docstring"
    for option in command.params:
        if isinstance(option, click.Option) and not option.help:
            yield f"{name}: help for {option.opts[0]}"
    if not any(_is_in(page, path) for page in PAGES):
        yield f"{name}: what it is for, in one of {', '.join(PAGES)}"
    if path not in run():
        yield f"{name}: a test that runs it, in tests/unit/deployer/cli/ or tests/integration/deployer/"


def _is_in(page: str, path: tuple[str, ...]) -> bool:
    """Whether the page has the command: whole, or in a row of a table of its group."""
    text = (ROOT / page).read_text()
    *group, name = path
    if re.search(rf"\bturnout {' '.join(path)}\b", text):
        return True
    _, head, rows = text.partition(f"| `turnout {' '.join(group)} …` |")
    return bool(group and head and re.search(rf"^\| .*`{name}\b", rows.partition("\n\n")[0], re.MULTILINE))


@cache
def run() -> set[tuple[str, ...]]:
    """What tests run: the two words, and of RUNNERS also the one, that an argument list of theirs begins with."""
    begun = set()
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                lengths = (1, 2) if _called(node) in RUNNERS else (2,)
                for listed in (node.args, *(one.elts for one in node.args if isinstance(one, ast.List | ast.Tuple))):
                    words = [one.value if isinstance(one, ast.Constant) else None for one in listed]
                    # After whom it is run by: pytest's capsys, a state folder; or after the module that is run.
                    module = words.index("deployer.cli.main") + 1 if "deployer.cli.main" in words else 0
                    for start in (module, module + 1):
                        begun |= {tuple(map(str, words[start : start + n])) for n in lengths if start + n <= len(words)}
    return begun


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_all_its_parts(name: str) -> None:
    command, path = ALL[name]
    lost = list(missing(command, *path))
    assert not lost, "\n".join(lost)


def test_a_command_that_is_defined_is_gathered() -> None:
    known = {word for name in ALL for word in name.split()}
    lost = [
        f"turnout {name}: {file} defines it, and deployer/cli/main.py doesn't have it"
        for file, names in defined().items()
        for name in names
        if name not in known
    ]
    assert not lost, "\n".join(lost)


def test_what_is_missing_is_named() -> None:
    assert list(missing(click.Command("dance", params=[click.Option(["--fast"])]), "dance")) == [
        "turnout dance: a line on what it does, as its function's docstring",
        "turnout dance: help for --fast",
        "turnout dance: what it is for, in one of "
        "README.md, docs/rollouts.md, docs/kubernetes.md, docs/reference/document.md",
        "turnout dance: a test that runs it, in tests/unit/deployer/cli/ or tests/integration/deployer/",
    ]
