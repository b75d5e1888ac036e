"""Each module on top of gateway/ is held by the import contracts that it should be held by (pyproject.toml), and a test
says which one it lacks. Those in folders are held by their folder."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).parents[3]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
DATA_PATH, PARENT = "gateway.worker", "gateway.cli"
"""What the two kinds of processes of a gateway begin with."""


def contract(kind: str, source: str, forbidden: str) -> dict[str, Any]:
    (found,) = (
        one
        for one in CONTRACTS
        if one["type"] == kind
        and source in one.get("source_modules", one.get("layers", ()))
        and (not forbidden or forbidden in one["forbidden_modules"])
    )
    return dict(found)


PURE = contract("forbidden", "gateway.contract", "time")
LAYERS = contract("layers", DATA_PATH, "")
LAYERED = {name.strip() for layer in LAYERS["layers"] for name in layer.split("|")}
PARENTS = contract("forbidden", PARENT, DATA_PATH)
IMPURE = {*PURE["forbidden_modules"], "os"}
"""The last only here: what is pure may have it, for paths; what has it to read the environment need not be pure."""


@functools.cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("gateway", "protos", include_external_packages=True, cache_dir=None)


def reached(imports: grimp.ImportGraph, module: str) -> set[str]:
    """What is loaded with the module, itself and what its packages' files are included."""
    return {module, *imports.find_upstream_modules(module)}


def belongs(imports: grimp.ImportGraph, module: str, names: set[str]) -> bool:
    """Whether the module, or something in it, is one of `names`, or in one."""
    inside = {module, *imports.find_descendants(module)}
    return any(one == name or one.startswith(f"{name}.") for one in inside for name in names)


def missing(imports: grimp.ImportGraph, module: str) -> Iterator[str]:
    """The contracts that the module lacks."""
    inside = {module, *imports.find_descendants(module)}
    carries = bool(inside & reached(imports, DATA_PATH))
    looks_after = bool(inside & reached(imports, PARENT))
    if not carries and not looks_after:
        yield f"{module}: neither {DATA_PATH} nor {PARENT} imports it, so no contract of theirs sees it"
    if carries and not looks_after and not belongs(imports, module, LAYERED):
        yield f"{module}: a layer of pyproject.toml's contract {LAYERS['name']!r}: workers alone load it"
    if looks_after and not carries and not belongs(imports, module, set(PARENTS["source_modules"])):
        yield f"{module}: a source of pyproject.toml's contract {PARENTS['name']!r}: the parent alone loads it"
    loaded = {name for one in inside for name in (one, *imports.find_upstream_modules(one))}
    if not loaded & IMPURE and not belongs(imports, module, set(PURE["source_modules"])):
        yield f"{module}: a source of pyproject.toml's contract {PURE['name']!r}: it loads nothing impure"


@pytest.mark.parametrize("module", sorted(graph().find_children("gateway")))
def test_a_module_is_held_by_its_contracts(module: str) -> None:
    lost = list(missing(graph(), module))
    assert not lost, "\n".join(lost)


def test_what_is_missing_is_named() -> None:
    imports = grimp.ImportGraph()
    imports.add_module("gateway")
    for module, others in {
        "gateway.worker": ("gateway.refusal", "gateway.steps", "asyncio"),
        "gateway.cli": ("gateway.refusal", "gateway.clock"),
        "gateway.steps": ("socket",),
        "gateway.clock": ("time",),
        "gateway.refusal": (),
        "gateway.lonely": ("random",),
        "gateway.both": (),
    }.items():
        imports.add_module(module)
        for other in others:
            imports.add_import(importer=module, imported=other)
    imports.add_import(importer="gateway.clock", imported="gateway.both")
    imports.add_import(importer="gateway.steps", imported="gateway.both")
    found = {line for module in imports.find_children("gateway") for line in missing(imports, module)}
    assert found == {
        "gateway.steps: a layer of pyproject.toml's contract 'The data path: each layer knows only those below it': "
        "workers alone load it",
        "gateway.clock: a source of pyproject.toml's contract 'The parent carries no request': "
        "the parent alone loads it",
        "gateway.lonely: neither gateway.worker nor gateway.cli imports it, so no contract of theirs sees it",
        "gateway.both: a source of pyproject.toml's contract 'Pure in the middle: no loop, socket, client, server, "
        "process, clock or chance': it loads nothing impure",
    }
