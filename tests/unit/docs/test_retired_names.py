"""No module, class, function, argument, variable or field bears a name that was given up (tests/retired_names.txt)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.fakes.checkout import files

ROOT = Path(__file__).parents[3]
LIST = ROOT / "tests" / "retired_names.txt"

Retired = dict[tuple[str, str], str]
"""What replaced a name, by its kind and itself."""


def retired(text: str) -> Retired:
    lines = [line.split(maxsplit=2) for line in text.splitlines() if line and not line.startswith("#")]
    found = {(kind, name): replacement for kind, name, replacement in lines}
    assert len(found) == len(lines), "a name stands twice"
    assert {kind for kind, _ in found} <= {"module", "class", "name"}
    return found


def modules(path: str) -> Iterator[tuple[str, str, int]]:
    for part in PurePosixPath(path).with_suffix("").parts:
        yield "module", part.removeprefix("test_"), 1


def definitions(source: str) -> Iterator[tuple[str, str, int]]:
    """Kind, name and line of all that a file defines. What it only uses is defined elsewhere."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(name=name):
                yield "class", name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield "name", name, node.lineno
            case ast.arg(arg=name):
                yield "name", name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield "name", name, node.lineno


def violations(path: str, source: str, names: Retired) -> list[str]:
    return [
        f"{path}:{line}: the {kind} {name} is retired; write {names[kind, name.strip('_')]}"
        for kind, name, line in [*modules(path), *definitions(source)]
        if (kind, name.strip("_")) in names
    ]


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("old/a", "", ["old/a:1: the module old is retired; write new"]),
        ("tests/test_old", "", ["tests/test_old:1: the module old is retired; write new"]),
        ("a", "\nclass _Old: ...", ["a:2: the class _Old is retired; write New"]),
        ("a", "def old(): ...", ["a:1: the name old is retired; write new"]),
        ("a", "def f(*, old: int): ...", ["a:1: the name old is retired; write new"]),
        ("a", "class A:\n    old: int", ["a:2: the name old is retired; write new"]),
        ("a", "self._old = 1", ["a:1: the name _old is retired; write new"]),
        ("a", "import old\nf(old=old.old)  # old\nclass older: 'old'", []),
    ],
)
def test_what_is_found(path: str, source: str, found: list[str]) -> None:
    names = retired("# A comment\nmodule old new\nclass Old New\nname old new\n")
    assert violations(path, source, names) == found


def test_no_retired_name_is_in_use() -> None:
    names = retired(LIST.read_text())
    paths = [path for path in files(".py") if "_pb2" not in path]
    found = [line for path in paths for line in violations(path, (ROOT / path).read_text(), names)]
    assert not found, f"{len(found)} in use:\n" + "\n".join(found)
