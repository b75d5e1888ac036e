"""Objects of the API server as ModelDeployments."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from deployer.document import values
from deployer.document.json_schema import schema
from deployer.document.rules import broken
from deployer.document.values import Violation
from deployer.kubernetes.objects.resource import InvalidSpec, read
from tests.cluster.bad_documents import ANSWERED, FIXED, REFUSED, WHOLE, Bad, document

ROOT = Path(__file__).parents[5]
VALUES = Path(values.__file__)
"""What makes violations for all rules."""


@pytest.mark.parametrize("spec", WHOLE, ids=lambda spec: str(spec["runtime"]))
def test_what_is_right_is_read(spec: dict[str, Any]) -> None:
    resource = document("digits", spec)
    resource["metadata"] |= {"uid": "1", "labels": {"a": "b"}, "annotations": {"long": "x" * 10_000}, "generation": 3}
    resource["status"] = {"phase": "Ready"}
    before = copy.deepcopy(resource)
    deployment = read(resource)
    assert resource == before
    assert deployment.key == "default/digits"
    assert [version.name for version in deployment.spec.versions] == [version["name"] for version in spec["versions"]]


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: f"{bad.path}-{'-'.join(bad.words)}")
def test_what_the_api_server_refuses_is_refused_here_too(bad: Bad) -> None:
    with pytest.raises(InvalidSpec):
        read(bad.document())


@pytest.mark.parametrize("bad", ANSWERED, ids=lambda bad: f"{bad.path}-{'-'.join(bad.words)}")
def test_what_the_api_server_can_not_see_is_told_with_its_field(bad: Bad) -> None:
    with pytest.raises(InvalidSpec) as raised:
        read(bad.document())
    assert [word for word in bad.words if word not in str(raised.value)] == []


@pytest.mark.parametrize("bad", FIXED, ids=lambda bad: str(bad.path))
def test_what_can_not_change_is_right_at_first(bad: Bad) -> None:
    read(document("digits", bad.spec))


def fields(node: dict[str, Any], path: str) -> Iterator[str]:
    for name, part in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(part, f"{path}.{name}")
    if "properties" in node.get("items", {}):
        yield from fields(node["items"], f"{path}[]")


def written(value: object, path: str) -> Iterator[str]:
    """The fields that a document has."""
    for name, part in value.items() if isinstance(value, dict) else ():
        yield f"{path}.{name}"
        yield from written(part, f"{path}.{name}")
    for part in value if isinstance(value, list) else ():
        yield from written(part, f"{path}[]")


def test_each_field_is_one_that_the_api_server_is_shown_to_take() -> None:
    there = {path for spec in WHOLE for path in written(spec, "spec")}
    refused = {"spec.versions[].resources.requests.gpu"}  # wherever it stands: there is only a limit of GPUs
    lost = [path for path in fields(schema()["properties"]["spec"], "spec") if path not in there | refused]
    assert not lost, "\n".join(f"{path}: no spec in WHOLE of tests/cluster/bad_documents.py has it" for path in lost)


def rules() -> dict[tuple[str, int], str]:
    """Where the code of the document's rules makes a violation, by file and line, and how."""
    found = {}
    for file in (*ROOT.glob("deployer/document/*.py"), *ROOT.glob("deployer/runtimes/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())) if file != VALUES else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Violation", "one_of"):
                found[str(file), node.lineno] = " ".join(ast.unparse(node).split())
    return found


def test_each_rule_is_one_that_the_api_server_is_shown_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()

    def violation(*parts: Any) -> Violation:
        frame: FrameType | None = sys._getframe(1)
        if frame is not None and frame.f_code is values.one_of.__code__:
            frame = frame.f_back
        assert frame is not None
        made.add((frame.f_code.co_filename, frame.f_lineno))
        return Violation(*parts)

    for module in [module for module in sys.modules.values() if getattr(module, "Violation", None) is Violation]:
        if module.__name__.startswith("deployer."):
            monkeypatch.setattr(module, "Violation", violation)
    for bad in (*REFUSED, *ANSWERED):
        list(broken(bad.document()))
    lost = {place: how for place, how in rules().items() if place not in made}
    assert not lost, "\n".join(
        f"{Path(file).relative_to(ROOT)}:{line}: no document in REFUSED of tests/cluster/bad_documents.py breaks {how}"
        for (file, line), how in lost.items()
    )


def test_all_mistakes_are_told() -> None:
    resource = document("digits", copy.deepcopy(WHOLE[0]))
    resource["spec"]["traffic"] = {"stable": "v3", "weight": 1}
    resource["spec"]["versions"][0]["modle"] = resource["spec"]["versions"][0].pop("model")
    with pytest.raises(InvalidSpec) as raised:
        read(resource)
    assert {line.partition(": ")[0] for line in str(raised.value).splitlines()} == {
        "spec.versions[0].modle",
        "spec.traffic.stable",
        "spec.traffic.weight",
    }


def test_an_object_without_a_spec() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.runtime: runtime is missing"):
        read({"metadata": {"name": "digits", "namespace": "default"}})
