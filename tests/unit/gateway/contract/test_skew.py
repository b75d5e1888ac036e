"""What a release makes of what another one wrote: in a table's file, in a resource's status, and on the admin port."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.contract import route_table
from gateway.contract.evidence import DeploymentEvidence, Evidence
from gateway.contract.skew import CONTRACT, check
from gateway.contract.state import State
from gateway.discovery.route_composer import Composer

OLD, OWN, NEW, FAR = CONTRACT - 1, CONTRACT, CONTRACT + 1, CONTRACT + 2

TOO_FAR = f"it is of contract {FAR}, and this release reads {OLD} to {NEW}: upgrade one release at a time"
UNKNOWN = "it requires what this release does not know: mirror, zones"

WRITTEN: list[tuple[dict[str, Any], str | None]] = [
    ({"contract": OLD}, None),
    ({"contract": OWN}, None),
    ({}, None),  # by hand
    ({"contract": NEW}, None),
    ({"contract": NEW, "mirror": {"to": "v2"}}, None),
    ({"contract": NEW, "versions": [{"name": "v1", "zone": "a"}, {"name": "v2"}]}, None),
    ({"contract": NEW, "mirror": {"to": "v2"}, "requires": ["zones", "mirror"]}, UNKNOWN),
    ({"contract": OWN, "requires": ["mirror", "zones"]}, UNKNOWN),
    ({"contract": FAR}, TOO_FAR),
    ({"contract": NEW, "stable": None}, "stable: Input should be a valid string"),
    ({"contract": NEW, "runtime": "another"}, "runtime: Input should be 'tfserving', 'seldon' or 'oip'"),
]
"""A deployment's fields, and why it is refused, if it is."""


def deployment(name: str = "m", weight: float = 5, **changes: Any) -> dict[str, Any]:
    versions = [{"name": "v1"}, {"name": "v2"}]
    route = {"namespace": "ns", "name": name, "runtime": "tfserving", "stable": "v1", "canary": "v2", "weight": weight}
    return route | {"versions": versions} | changes


def document(revision: int, *deployments: dict[str, Any]) -> bytes:
    return json.dumps({"revision": revision, "deployments": deployments, "mood": "fine"}).encode()


@pytest.mark.parametrize(("changes", "why"), WRITTEN)
def test_a_table_in_a_file(changes: dict[str, Any], why: str | None) -> None:
    before = route_table.read(document(1, deployment(weight=9), deployment("other"))).table
    written = document(2, deployment(**changes), deployment("other", weight=6))
    for known, weights in ((before.by_key, {"m": 9, "other": 6}), ({}, {"other": 6})):
        found = route_table.read(written, known)
        assert found.refused == ({} if why is None else {"ns/m": why})
        assert found.table.revision == 2
        expected = weights if why else {"m": 5, "other": 6}
        assert {one.name: one.weight for one in found.table.deployments} == expected


@pytest.mark.parametrize(("changes", "why"), WRITTEN)
def test_the_status_of_a_resource(changes: dict[str, Any], why: str | None) -> None:
    def resource(route: dict[str, Any]) -> dict[str, Any]:
        metadata = {"namespace": "ns", "name": route["name"], "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": metadata, "status": {"route": route}}

    composer = Composer(None)
    composer.deployments([resource(deployment(weight=9)), resource(deployment("other"))])
    composer.deployments([resource(deployment(**changes)), resource(deployment("other", weight=6))])
    made = composer.compose()
    assert made is not None
    assert {one.name: one.weight for one in made.deployments} == {"m": 9 if why else 5, "other": 6}
    assert composer.problems == ({} if why is None else {("ns", "m"): f"status.route: {why}"})
    assert composer.rejected == (why is not None)


@pytest.mark.parametrize(
    "page",
    [
        State(ready=True, why="ok", revision=3),
        Evidence(source="a", ready=True, revision=3, deployments={"ns/m": DeploymentEvidence(epoch=1, counts=())}),
    ],
)
def test_a_page_of_the_admin_port(page: BaseModel) -> None:
    def read(**changes: Any) -> BaseModel:
        return type(page).model_validate_json(json.dumps(json.loads(page.model_dump_json()) | changes))

    assert json.loads(page.model_dump_json())["contract"] == CONTRACT
    assert read() == page
    assert read(contract=OLD) == page.model_copy(update={"contract": OLD})
    assert read(contract=NEW, mood="fine") == page.model_copy(update={"contract": NEW})
    for changes, why in (({"contract": FAR}, TOO_FAR), ({"contract": NEW, "ready": None}, "a valid boolean")):
        with pytest.raises(ValidationError, match=why):
            read(**changes)


@pytest.mark.parametrize("contract", [CONTRACT - 2, CONTRACT + 2])
def test_two_releases_apart_is_too_far(contract: int) -> None:
    with pytest.raises(ValueError, match="upgrade one release at a time"):
        check(contract)
