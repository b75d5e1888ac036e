"""Paths as Seldon's ingress, executor and Python microservice have them, and as SeldonClient 1.17.1 sends them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal

NAME = "seldon-rest"


@pytest.mark.parametrize(
    ("method", "target", "namespace", "name", "upstream", "label"),
    [
        ("POST", "/seldon/ns/d/api/v1.0/predictions", "ns", "d", "/api/v1.0/predictions", "predict"),
        ("POST", "/seldon/ns/d/api/v0.1/predictions", "ns", "d", "/api/v0.1/predictions", "predict"),
        ("POST", "/seldon/ns/d/predict", "ns", "d", "/predict", "predict"),
        ("GET", "/seldon/ns/d/predict?json=%7B%7D", "ns", "d", "/predict?json=%7B%7D", "predict"),
        ("POST", "/seldon/ns/d/api/v1.0/feedback", "ns", "d", "/api/v1.0/feedback", "feedback"),
        ("POST", "/seldon/ns/d/api/v0.1/feedback", "ns", "d", "/api/v0.1/feedback", "feedback"),
        ("POST", "/seldon/ns/d/send-feedback", "ns", "d", "/send-feedback", "feedback"),
        ("GET", "/seldon/ns/d/api/v1.0/status", "ns", "d", "/api/v1.0/status", "status"),
        ("GET", "/seldon/ns/d/api/v1.0/status/m", "ns", "d", "/api/v1.0/status/m", "status"),
        ("GET", "/seldon/ns/d/api/v1.0/metadata", "ns", "d", "/api/v1.0/metadata", "metadata"),
        ("GET", "/seldon/ns/d/api/v1.0/metadata/m", "ns", "d", "/api/v1.0/metadata/m", "metadata"),
        ("GET", "/seldon/ns/d/metadata", "ns", "d", "/metadata", "metadata"),
        ("GET", "/seldon/ns/d/api/v1.0/health/status", "ns", "d", "/api/v1.0/health/status", "health"),
        ("GET", "/seldon/ns/d/health/ping", "ns", "d", "/health/ping", "health"),
        ("POST", "/seldon/n%20s/d%2F/predict", "n s", "d/", "/predict", "predict"),
        # SeldonClient(namespace=None)
        ("POST", "/seldon/d/api/v1.0/predictions", None, "d", "/api/v1.0/predictions", "predict"),
        ("POST", "/seldon/d/api/v1.0/feedback", None, "d", "/api/v1.0/feedback", "feedback"),
        ("GET", "/seldon/d/metadata", None, "d", "/metadata", "metadata"),
        # Names that look like parts of paths
        ("POST", "/seldon/api/v1.0/api/v1.0/predictions", "api", "v1.0", "/api/v1.0/predictions", "predict"),
        ("POST", "/seldon/v1/models/predict", "v1", "models", "/predict", "predict"),
        # What is no prediction, and a slash too many where it can mean but one thing
        ("HEAD", "/seldon/ns/d/health/ping", "ns", "d", "/health/ping", "head"),
        ("OPTIONS", "/seldon/ns/d/api/v1.0/predictions", "ns", "d", "/api/v1.0/predictions", "options"),
        ("POST", "/seldon/ns/d//api/v1.0/predictions", "ns", "d", "/api/v1.0/predictions", "predict"),
        ("POST", "///seldon/d/predict", None, "d", "/predict", "predict"),
        ("POST", "//api/v1.0/predictions", None, "", "/api/v1.0/predictions", "predict"),
        # SeldonClient(gateway="seldon"): a header has to name the deployment
        ("POST", "/api/v1.0/predictions", None, "", "/api/v1.0/predictions", "predict"),
        ("POST", "/api/v1.0/feedback?a=b", None, "", "/api/v1.0/feedback?a=b", "feedback"),
    ],
)
def test_address(method: str, target: str, namespace: str | None, name: str, upstream: str, label: str) -> None:
    wanted = registry.Address(NAME, namespace, name, None, upstream.encode(), label, label != "feedback")
    assert registry.rest(target.encode()).address(method.encode(), target.encode()) == wanted


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/seldon/ns/d/api/v1.0/predictions"),
        ("DELETE", "/seldon/ns/d/api/v1.0/feedback"),
        ("POST", "/seldon/ns/d/metadata"),
    ],
)
def test_a_wrong_method(method: str, target: str) -> None:
    with pytest.raises(Refusal, match=f"not {method}$") as caught:
        registry.rest(target.encode()).address(method.encode(), target.encode())
    assert caught.value.status == 405


@pytest.mark.parametrize(
    "target",
    [
        "/seldon/",
        "/seldon/ns/d",
        "/seldon/ns/d/",
        "/seldon/ns/d/x",
        "/seldon/ns//predict",
        "/seldon/a/b/c/predict",
        "/seldon//d/predict",
        "/seldon/ns/d/predict/",
    ],
)
def test_an_unknown_path(target: str) -> None:
    with pytest.raises(Refusal, match="No such path: ") as caught:
        registry.rest(target.encode()).address(b"POST", target.encode())
    assert caught.value.code is Code.NOT_FOUND


def test_error_body() -> None:
    kind, body = registry.rest(b"/seldon/ns/d/predict").error(Code.UNAVAILABLE, 503, "no endpoint")
    assert kind == b"application/json"
    assert json.loads(body) == {"status": {"code": 503, "info": "no endpoint", "status": "FAILURE"}}


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD", b""]),
    st.lists(
        st.sampled_from(
            [
                b"/",
                b"ns",
                b"/api/v1.0",
                b"/predictions",
                b"/feedback",
                b"/metadata",
                b"/status",
                b"/health",
                b"%ff",
                b"?",
            ]
        )
    ).map(lambda parts: b"/seldon/" + b"".join(parts)),
)
def test_nothing_but_a_refusal_is_raised(method: bytes, target: bytes) -> None:
    protocol = registry.rest(target)
    try:
        address = protocol.address(method, target)
    except Refusal as refusal:
        json.loads(protocol.error(refusal.code, refusal.status, refusal.message)[1])
    else:
        assert address.name
        assert target.endswith(address.target)
