"""Paths as the Open Inference Protocol has them, bare and behind Seldon's ingress prefix."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

V2 = Pin("version", "v2")


@pytest.mark.parametrize(
    ("method", "target", "namespace", "name", "pin", "upstream", "label"),
    [
        ("POST", "/v2/models/d/infer", None, "d", None, "/v2/models/d/infer", "infer"),
        ("POST", "/v2/models/d/infer?a=b", None, "d", None, "/v2/models/d/infer?a=b", "infer"),
        ("POST", "/v2/models/d/versions/v2/infer", None, "d", V2, "/v2/models/d/versions/v2/infer", "infer"),
        ("GET", "/v2/models/d/versions/2", None, "d", Pin("version", "2"), "/v2/models/d/versions/2", "metadata"),
        ("GET", "/v2/models/d/ready", None, "d", None, "/v2/models/d/ready", "ready"),
        ("GET", "/v2/models/d/versions/v2/ready", None, "d", V2, "/v2/models/d/versions/v2/ready", "ready"),
        ("GET", "/v2/models/d", None, "d", None, "/v2/models/d", "metadata"),
        ("GET", "/v2/models/d/versions/v2", None, "d", V2, "/v2/models/d/versions/v2", "metadata"),
        ("GET", "/v2/models/d%2F%20e/versions/v%32", None, "d/ e", V2, "/v2/models/d%2F%20e/versions/v%32", "metadata"),
        ("POST", "/seldon/ns/d/v2/models/d/infer", "ns", "d", None, "/v2/models/d/infer", "infer"),
        # Seldon's own name of the deployment counts; the model's is that of a node in its graph.
        ("POST", "/seldon/ns/d/v2/models/classifier/infer", "ns", "d", None, "/v2/models/classifier/infer", "infer"),
        ("GET", "/seldon/ns/d/v2/models/d/versions/v2", "ns", "d", V2, "/v2/models/d/versions/v2", "metadata"),
        ("POST", "/seldon/d/v2/models/x/infer", None, "d", None, "/v2/models/x/infer", "infer"),
        ("GET", "/seldon/ns/d/v2/health/ready", "ns", "d", None, "/v2/health/ready", "server_ready"),
        ("GET", "/seldon/ns/d/v2/health/live", "ns", "d", None, "/v2/health/live", "server_live"),
        ("GET", "/seldon/ns/d/v2", "ns", "d", None, "/v2", "server_metadata"),
        # Of a server, whichever: a header has to name the deployment
        ("GET", "/v2", None, "", None, "/v2", "server_metadata"),
        ("GET", "/v2/health/ready", None, "", None, "/v2/health/ready", "server_ready"),
        # Streams, and one prediction more
        ("POST", "/v2/models/d/generate", None, "d", None, "/v2/models/d/generate", "infer"),
        ("POST", "/v2/models/d/versions/v2/generate_stream", None, "d", V2, "/v2/models/d/versions/v2/generate_stream",
         "infer"),
        ("POST", "/seldon/d/v2/models/x/infer_stream", None, "d", None, "/v2/models/x/infer_stream", "infer"),
        # What the server says to other verbs, and to a slash too many, is its own affair
        ("HEAD", "/v2/models/d/ready", None, "d", None, "/v2/models/d/ready", "head"),
        ("OPTIONS", "/v2/models/d/infer", None, "d", None, "/v2/models/d/infer", "options"),
        ("HEAD", "/v2/health/ready", None, "", None, "/v2/health/ready", "server_ready"),
        ("POST", "/v2/models/d/infer/", None, "d", None, "/v2/models/d/infer/", "infer"),
        ("GET", "/v2/models/d/", None, "d", None, "/v2/models/d/", "metadata"),
        ("GET", "/v2/", None, "", None, "/v2/", "server_metadata"),
        ("GET", "//seldon/ns/d/v2/models/d", "ns", "d", None, "/v2/models/d", "metadata"),
        # Names that look like parts of paths
        ("GET", "/seldon/ns/v2/v2/models/v2", "ns", "v2", None, "/v2/models/v2", "metadata"),
        ("GET", "/v2/models/ready", None, "ready", None, "/v2/models/ready", "metadata"),
        ("GET", "/v2/models/versions/versions/versions", None, "versions", Pin("version", "versions"),
         "/v2/models/versions/versions/versions", "metadata"),
    ],
)  # fmt: skip
def test_address(
    method: str, target: str, namespace: str | None, name: str, pin: Pin | None, upstream: str, label: str
) -> None:
    wanted = registry.Address("oip-rest", namespace, name, pin, upstream.encode(), label, True)
    assert registry.rest(target.encode()).address(method.encode(), target.encode()) == wanted


@pytest.mark.parametrize(
    ("method", "target", "takes"),
    [
        ("GET", "/v2/models/d/infer", "POST"),
        ("PUT", "/v2/models/d/versions/v2/infer", "POST"),
        ("POST", "/v2/models/d", "GET"),
        ("POST", "/v2/models/d/ready", "GET"),
        ("POST", "/v2", "GET"),
    ],
)
def test_a_wrong_method(method: str, target: str, takes: str) -> None:
    with pytest.raises(Refusal, match=f"takes {takes}, not {method}$") as caught:
        registry.rest(target.encode()).address(method.encode(), target.encode())
    assert caught.value.status == 405


@pytest.mark.parametrize(
    "target",
    [
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/d/versions",
        "/v2/models/d/versions//infer",
        "/v2/models/d/generate_all",
        "/v2//",
        "/v2/models/a/b/infer",
        "/v2/health",
        "/v2/health/started",
        "/v2/V2",
        "/seldon/ns/d/v2/models",
    ],
)
def test_an_unknown_path(target: str) -> None:
    with pytest.raises(Refusal, match=r"No such path: .*known: /v2/models/<deployment>") as caught:
        registry.rest(target.encode()).address(b"GET", target.encode())
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    "target",
    ["/v2/repository/index", "/v2/repository/models/d/load", "/seldon/ns/d/v2/repository/models/d/unload"],
)
def test_servers_are_not_reconfigured_through_the_gateway(target: str) -> None:
    with pytest.raises(Refusal, match="ModelDeployment") as caught:
        registry.rest(target.encode()).address(b"POST", target.encode())
    assert caught.value.code is Code.PERMISSION_DENIED


@pytest.mark.parametrize("target", ["/v2/models/%ff/infer", "/v2/models/d/versions/%ff/infer"])
def test_names_that_are_not_utf8(target: str) -> None:
    with pytest.raises(Refusal, match="not UTF-8") as caught:
        registry.rest(target.encode()).address(b"POST", target.encode())
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_error_body() -> None:
    kind, body = registry.rest(b"/v2/models/d").error(Code.UNAVAILABLE, 503, 'no "endpoint"')
    assert kind == b"application/json"
    assert json.loads(body) == {"error": 'no "endpoint"'}


PARTS = b"/v2 /models /d /versions /infer /ready /health /live /repository / ?".split()


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD", b""]),
    st.sampled_from([b"/v2", b"/seldon/ns/d/v2", b"/seldon/v2"]),
    st.lists(st.sampled_from([*PARTS, b"%ff", b"\xff", b"x" * 300])),
)
def test_nothing_but_a_refusal_is_raised(method: bytes, prefix: bytes, parts: list[bytes]) -> None:
    target = prefix + b"".join(parts)
    protocol = registry.rest(target)
    try:
        address = protocol.address(method, target)
    except Refusal as refusal:
        json.loads(protocol.error(refusal.code, refusal.status, refusal.message)[1])
    else:
        assert target.endswith(address.target)
        assert address.name or address.method.startswith("server_") or method == b"HEAD"
