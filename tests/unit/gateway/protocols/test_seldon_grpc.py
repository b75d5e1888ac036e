"""The metadata that SeldonClient 1.17.1 sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal

PREDICT = b"/seldon.protos.Seldon/Predict"


def address(path: bytes, fields: dict[bytes, bytes]) -> registry.Address:
    protocol = registry.grpc(path)
    assert not protocol.needs_message(path)
    return protocol.address(path, fields, None)


@pytest.mark.parametrize(
    ("path", "label", "repeatable"),
    [
        (b"/seldon.protos.Seldon/Predict", "predict", True),
        (b"/seldon.protos.Seldon/SendFeedback", "feedback", False),
        (b"/seldon.protos.Seldon/ModelMetadata", "metadata", True),
        (b"/seldon.protos.Seldon/GraphMetadata", "graph_metadata", True),
        (b"/seldon.protos.Model/Predict", "predict", True),
        (b"/seldon.protos.Model/SendFeedback", "feedback", False),
        (b"/seldon.protos.Model/Metadata", "metadata", True),
    ],
)
def test_methods(path: bytes, label: str, repeatable: bool) -> None:
    wanted = registry.Address("seldon-grpc", "vision", "digits", None, path, label, repeatable)
    assert address(path, {b"seldon": b"digits", b"namespace": b"vision"}) == wanted


@pytest.mark.parametrize(
    ("fields", "namespace", "name"),
    [
        ({b"seldon": b"digits"}, None, "digits"),
        ({b"seldon": b"digits", b"namespace": b""}, None, "digits"),
        ({}, None, ""),
        ({b"namespace": b"vision"}, "vision", ""),
    ],
)
def test_metadata_may_be_left_out(fields: dict[bytes, bytes], namespace: str | None, name: str) -> None:
    found = address(PREDICT, fields)
    assert (found.namespace, found.name) == (namespace, name)


def test_no_metadata_at_all_is_refused_with_what_to_send() -> None:
    with pytest.raises(
        Refusal, match="seldon: <deployment> and namespace: <namespace>, or x-turnout-deployment"
    ) as caught:
        registry.with_headers(address(PREDICT, {}), None, None)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_an_unknown_method() -> None:
    with pytest.raises(Refusal, match=r"known: /seldon.protos.Seldon/Predict, ") as caught:
        address(b"/seldon.protos.Router/Route", {b"seldon": b"digits"})
    assert caught.value.code is Code.UNIMPLEMENTED


@given(st.sampled_from([PREDICT, b"/seldon.protos.\xff"]), st.binary(max_size=300), st.binary(max_size=300))
def test_nothing_but_a_refusal_is_raised(path: bytes, name: bytes, namespace: bytes) -> None:
    try:
        found = address(path, {b"seldon": name, b"namespace": namespace})
    except Refusal:
        return
    assert (found.name.encode(), (found.namespace or "").encode()) == (name, namespace)
