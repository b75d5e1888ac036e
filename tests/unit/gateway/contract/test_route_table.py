"""The route table: what is one, what is none and why, and what is found in it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, TableError, Version, read, write

ENDPOINT = {"host": "10.0.0.1", "rest": 8501, "grpc": 8500}


def document(**values: Any) -> dict[str, Any]:
    deployment = {
        "namespace": "vision",
        "name": "digits",
        "runtime": "tfserving",
        "stable": "v1",
        "versions": [{"name": "v1", "servable": 1, "endpoints": [ENDPOINT]}, {"name": "v2", "servable": 2}],
    }
    return {"revision": 3, "deployments": [deployment | values]}


def refused(value: object) -> str:
    with pytest.raises(TableError) as raised:
        read(value if isinstance(value, bytes) else json.dumps(value).encode())
    return str(raised.value)


def test_a_table_is_read() -> None:
    table = read(json.dumps(document(canary="v2", weight=12.5, epoch=4)).encode()).table
    (deployment,) = table.deployments
    assert (table.revision, deployment.key, deployment.weight, deployment.epoch) == (3, "vision/digits", 12.5, 4)
    assert deployment.by_name["v1"].endpoints == (Endpoint(host="10.0.0.1", rest=8501, grpc=8500),)
    assert deployment.by_servable[2] is deployment.by_name["v2"]


@pytest.mark.parametrize("value", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_empty_document_is_no_table(value: bytes) -> None:
    assert refused(value)


@pytest.mark.parametrize("value", [b"{", b"\xff", b"nonsense", b"null", b"[]", b'"x"', b"{}", b"[" * 10_000])
def test_what_is_no_json_or_no_table_is_refused(value: bytes) -> None:
    assert refused(value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stable": "v3"}, "vision/digits: stable is 'v3', but the versions are v1, v2"),
        ({"canary": "v3"}, "vision/digits: canary is 'v3', but the versions are v1, v2"),
        ({"canary": "v1"}, "vision/digits: stable and canary are both 'v1'"),
        ({"weight": 5}, "vision/digits: weight is 5.0, but there is no canary"),
        ({"versions": [{"name": "v1"}, {"name": "v1"}]}, "vision/digits: version names repeat: v1, v1"),
        (
            {"versions": [{"name": "v1", "servable": 7}, {"name": "v2", "servable": 7}]},
            "vision/digits: servables repeat: 7, 7",
        ),
        ({"versions": []}, "vision/digits: stable is 'v1', but the versions are "),
        ({"canary": "v2", "weight": 100.5}, "weight: "),
        ({"canary": "v2", "weight": -1}, "weight: "),
        ({"canary": "v2", "weight": float("nan")}, "weight: "),
        ({"canary": "v2", "weight": float("inf")}, "weight: "),
        ({"runtime": "onnx"}, "runtime: "),
        ({"name": "a/b"}, "name: "),
        ({"name": ""}, "name: "),
        ({"namespace": "a\n"}, "namespace: "),
        ({"versions": [{"name": "v1\r\nSet-Cookie: x"}]}, "versions.0.name: "),
        ({"versions": [{"name": "vé"}]}, "versions.0.name: "),
        ({"versions": [{"name": "v1", "endpoints": [ENDPOINT | {"rest": 0}]}]}, "versions.0.endpoints.0"),
        ({"versions": [{"name": "v1", "endpoints": [ENDPOINT | {"grpc": 65536}]}]}, "versions.0.endpoin"),
        ({"versions": [{"name": "v1", "endpoints": [ENDPOINT | {"host": ""}]}]}, "versions.0.endpoints"),
    ],
)
def test_a_mistake_is_named_with_its_place(values: dict[str, Any], message: str) -> None:
    found = read(json.dumps(document(**values)).encode())
    assert found.table == RouteTable(revision=3)
    (why,) = found.refused.values()
    assert message in why


@pytest.mark.parametrize("value", [None, 1, [], {}, {"name": "m"}, {"name": 1, "namespace": "vision"}])
def test_what_may_be_any_deployment_is_not_left_out(value: object) -> None:
    assert refused({"revision": 3, "deployments": [*document()["deployments"], value]}).startswith("deployments.1: ")


def test_revisions_start_at_zero_and_keys_differ() -> None:
    assert "revision" in refused({"revision": -1})
    twice = document()
    twice["deployments"] *= 2
    assert "vision/digits stands twice" in refused(twice)


def test_a_bare_name_means_the_oldest_deployment() -> None:
    first, second = document()["deployments"][0], document(namespace="audio")["deployments"][0]
    table = read(json.dumps({"revision": 1, "deployments": [first, second]}).encode()).table
    assert table.find("digits") is table.deployments[0]
    assert table.find("digits", "audio") is table.deployments[1]
    assert table.find("digits", "text") is None
    assert table.find("letters") is None
    assert list(table.keys) == ["vision/digits", "audio/digits"]


endpoints = st.builds(Endpoint, host=st.just("h"), rest=st.integers(1, 65535), grpc=st.integers(1, 65535))
names = st.text(st.characters(min_codepoint=0x30, max_codepoint=0x7E), min_size=1, max_size=20)


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    found = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    versions = tuple(
        Version(
            name=name,
            servable=draw(st.just(number) | st.none()),
            endpoints=tuple(draw(st.lists(endpoints, max_size=3))),
        )
        for number, name in enumerate(found)
    )
    canary = draw(st.sampled_from(found[1:])) if len(found) > 1 else None
    weight = draw(st.floats(0, 100)) if canary else 0
    return Deployment(
        namespace=draw(names),
        name=draw(names),
        runtime="seldon",
        stable=found[0],
        canary=canary,
        weight=weight,
        epoch=draw(st.integers(0, 99)),
        versions=versions,
    )


@given(st.integers(0, 1 << 53), st.lists(deployments(), max_size=3, unique_by=lambda one: one.key))
def test_what_is_written_is_read_again(revision: int, made: list[Deployment]) -> None:
    table = RouteTable(revision=revision, deployments=tuple(made))
    assert read(write(table)) == (table, {})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_table_error(data: bytes) -> None:
    with contextlib.suppress(TableError):
        read(data)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"match": [{"header": {"x-a": "b"}, "version": "v3"}]}, "a match names 'v3', but the versions are v1, v2"),
        ({"sticky": {}}, "a key stands in a header or in a cookie: name one of them"),
        ({"sticky": {"header": "x-a", "cookie": "a"}}, "a key stands in a header or in a cookie: name one of them"),
    ],
)
def test_who_gets_a_version_is_said_without_contradiction(values: dict[str, Any], mistake: str) -> None:
    (why,) = read(json.dumps(document(**values)).encode()).refused.values()
    assert mistake in why
    assert read(json.dumps(document(sticky={"header": "x-a"})).encode()).refused == {}
