"""Paths and errors as TensorFlow Serving has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

NAME = "tfserving-rest"


@pytest.mark.parametrize(
    ("method", "target", "namespace", "name", "pin", "upstream", "label"),
    [
        ("POST", "/v1/models/digits:predict", None, "digits", None, None, "predict"),
        ("POST", "/v1/models/digits:classify", None, "digits", None, None, "classify"),
        ("POST", "/v1/models/digits:regress", None, "digits", None, None, "regress"),
        ("POST", "/V1/Models/Digits:PREDICT", None, "Digits", None, None, "predict"),
        ("POST", "/v1/models/a%2Fb%20%C3%A9:predict", None, "a/b é", None, None, "predict"),
        ("POST", "/v1/models/digits/versions/2:predict", None, "digits", Pin("servable", "2"), None, "predict"),
        ("POST", "/v1/models/digits/versions/007:predict", None, "digits", Pin("servable", "7"), None, "predict"),
        ("POST", "/v1/models/digits/versions/0:predict", None, "digits", Pin("servable", "0"), None, "predict"),
        ("POST", "/v1/models/digits/labels/canary:predict", None, "digits", Pin("label", "canary"), None, "predict"),
        ("POST", "/v1/models/digits/labels/a%20b:predict", None, "digits", Pin("label", "a b"), None, "predict"),
        ("POST", "/v1/models/digits:predict?x=/y:z", None, "digits", None, None, "predict"),
        ("GET", "/v1/models/digits", None, "digits", None, None, "status"),
        ("GET", "/v1/models/digits/metadata", None, "digits", None, None, "metadata"),
        ("GET", "/v1/models/digits/versions/2", None, "digits", Pin("servable", "2"), None, "status"),
        ("GET", "/v1/models/digits/versions/2/metadata", None, "digits", Pin("servable", "2"), None, "metadata"),
        ("GET", "/v1/models/digits/labels/stable/metadata", None, "digits", Pin("label", "stable"), None, "metadata"),
        ("POST", "/seldon/vision/d/v1/models/m:predict?q", "vision", "d", None, "/v1/models/m:predict?q", "predict"),
        ("POST", "/seldon/d/v1/models/m:predict", None, "d", None, "/v1/models/m:predict", "predict"),
        ("GET", "/seldon/vision/d/v1/models/m/metadata", "vision", "d", None, "/v1/models/m/metadata", "metadata"),
    ],
)
def test_address(
    method: str, target: str, namespace: str | None, name: str, pin: Pin | None, upstream: str | None, label: str
) -> None:
    raw = target.encode()
    wanted = registry.Address(NAME, namespace, name, pin, upstream.encode() if upstream else raw, label, True)
    assert registry.rest(raw).address(method.encode(), raw) == wanted


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/models/digits:predict"),
        ("PUT", "/v1/models/digits:predict"),
        ("post", "/v1/models/digits:predict"),
        ("POST", "/v1/models/digits"),
        ("POST", "/v1/models/digits:explain"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/digits/versions/two:predict"),
        ("POST", "/v1/models/digits/versions/-1:predict"),
        ("POST", "/v1/models/digits/versions/1/labels/stable:predict"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/modelsdigits"),
        ("GET", "/v1/models/digits/metadata/"),
    ],
)
def test_malformed_request(method: str, target: str) -> None:
    with pytest.raises(Refusal) as caught:
        registry.rest(target.encode()).address(method.encode(), target.encode())
    assert (caught.value.code, caught.value.status) == (Code.INVALID_ARGUMENT, 400)
    assert caught.value.message == f"Malformed request: {method} {target}"


@pytest.mark.parametrize("target", [b"/v1/models", b"/v1/models?x", b"/v1/models/versions/1"])
def test_a_model_must_be_named(target: bytes) -> None:
    with pytest.raises(Refusal, match=r"^Missing model name in request\.$") as caught:
        registry.rest(target).address(b"GET", target)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("target", [b"/v1/models/%ff:predict", b"/v1/models/d/labels/%c3:predict"])
def test_a_name_must_be_utf8(target: bytes) -> None:
    with pytest.raises(Refusal, match="is not UTF-8") as caught:
        registry.rest(target).address(b"POST", target)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_what_is_shown_is_bounded_and_printable() -> None:
    target = b"/v1/models/\x00\x1b\xff\n" + b"a" * 60_000
    with pytest.raises(Refusal) as caught:
        registry.rest(target).address(b"POST", target)
    assert len(caught.value.message) < 1000
    assert caught.value.message.isprintable()


def test_error_body() -> None:
    kind, body = registry.rest(b"/v1/models/m").error(Code.NOT_FOUND, 404, 'no "model"\n\udcff')
    assert kind == b"application/json"
    assert json.loads(body) == {"error": 'no "model"\n\udcff'}


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD", b""]),
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [b"/v1/models", b"/", b"digits", b"/versions/", b"/labels/", b"2", b":predict", b"/seldon/", b"%", b"?"]
            )
        ).map(b"".join),
    ),
)
@example(b"POST", b"/v1/models/d/versions/" + b"9" * 5000 + b":predict")
def test_nothing_but_a_refusal_is_raised(method: bytes, target: bytes) -> None:
    protocol = registry.rest(target)
    try:
        address = protocol.address(method, target)
    except Refusal as refusal:
        json.loads(protocol.error(refusal.code, refusal.status, refusal.message)[1])
    else:
        assert address.protocol == protocol.name
        assert target.endswith(address.target)
