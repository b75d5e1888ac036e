"""What else of a request clients may send wrong, and what the gateway answers itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.contract.route_table import RouteTable
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, deployment, table
from tests.fakes.grpc_client import HEALTH, PREDICT, SELDON_PREDICT, STATUS, Answer, GrpcClient, field, predict, spec
from tests.fakes.grpc_servers import GrpcServer, ServerCall, answering
from tests.fakes.parent_process import eventually


def test_answers_bear_the_version_and_what_the_server_says(client: GrpcClient, gateway: Gateway) -> None:
    answer = client.call(PREDICT, predict(), {"x-turnout-deployment": "default/m", "x-request-id": "r"})
    assert (answer.code, answer.message) == (Code.OK, b"one")
    assert answer.head == {
        ":status": "200",
        "content-type": "application/grpc",
        "x-of-server": "kept",
        "x-request-id": "r",
        "x-turnout-version": "v1",
        "x-turnout-assignment": "default/m=v1",
    }
    assert answer.trailers == {"grpc-status": "0"}
    assert gateway.outcomes("v1", assignment="split") == {"success": 1}


def test_own_metadata_from_outside_are_not_forwarded(client: GrpcClient, v2: GrpcServer) -> None:
    sent = {
        "x-turnout-version": "v2",
        "x-turnout-anything": "forged",
        "x-turnout-assignment": "default/m=v1",
        "x-mine": "kept",
    }
    assert client.call(PREDICT, predict(), sent | {"grpc-timeout": "20S"}).version == "v2"
    (call,) = v2.calls
    assert call.metadata["x-mine"] == "kept"
    own = {name: value for name, value in call.metadata.items() if name.startswith("x-turnout-")}
    assert own == {"x-turnout-assignment": "default/m=v2"}


def test_seldon_without_a_deployment(client: GrpcClient) -> None:
    answer = client.call(SELDON_PREDICT, b"")
    assert answer.code == Code.INVALID_ARGUMENT
    assert "the metadata seldon: <deployment>" in answer.error


def test_oversized_message(client: GrpcClient, gateway: Gateway, v1: GrpcServer) -> None:
    stream = client.open(PREDICT)
    client.data(stream, frame(predict(size=99_900)), end=True)
    assert client.answer(stream).code == Code.OK
    assert len(v1.calls[0].body) < 100_000
    stream = client.open(PREDICT)
    client.data(stream, frame(predict(size=200_000))[:120_000])  # told before the rest comes
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.RESOURCE_EXHAUSTED, "the message is over 100000 bytes")
    assert gateway.refusals() == {("tfserving-grpc", "too_large"): 1}


def test_the_prefix_of_a_message_is_not_of_its_size(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    message = predict(size=1000)
    server = grpc_servers(answering(b"out"))
    limited = deployment("m", {"v1": [server]}, max_message_bytes=len(message))
    for gateway in (
        start_gateway(table(v1=[server]), max_message_bytes=len(message)),
        start_gateway(RouteTable(revision=1, deployments=(limited,))),
    ):
        client = gateway.grpc_client()
        assert client.call(PREDICT, message).code == Code.OK
        assert client.call(PREDICT, predict(size=1001)).code == Code.RESOURCE_EXHAUSTED


def test_gather_budget(start_gateway: Callable[..., Gateway], v1: GrpcServer) -> None:
    gateway = start_gateway(table(v1=[v1]), gather_budget_bytes=100_000)
    client, other = gateway.grpc_client(), gateway.grpc_client()
    half = frame(predict(size=60_000))
    client.data(client.open(PREDICT), half[:40_000])
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held > 40_000)
    stream = client.open(PREDICT)
    client.data(stream, half[:20_000])
    answer = client.answer(stream)
    assert answer.code == Code.RESOURCE_EXHAUSTED
    assert "as much as they may" in answer.error
    assert other.call(PREDICT, predict(size=20_000)).code == Code.OK
    client.close()
    gateway.rests()
    assert gateway.refusals() == {("tfserving-grpc", "gather_budget"): 1}


def test_oversized_metadata(client: GrpcClient, gateway: Gateway) -> None:
    answer = client.call(PREDICT, predict(), {"x-large": "x" * 5000})
    assert (answer.code, answer.error) == (Code.RESOURCE_EXHAUSTED, "the metadata are over 4096 bytes or 100 fields")
    assert gateway.refusals() == {("unknown", "head_too_large"): 1}


def test_metadata_without_end(gateway: Gateway) -> None:
    client = gateway.grpc_client()
    client.open(PREDICT, {"x-large": "x" * 50_000})
    client.until_ended()
    assert client.goaways == [(0, ErrorCode.ENHANCE_YOUR_CALM)]


@pytest.mark.parametrize("value", ["soon", "1", "-1S", "123456789S", ""])
def test_malformed_deadline(client: GrpcClient, value: str) -> None:
    answer = client.call(PREDICT, predict(), {"grpc-timeout": value})
    assert answer.code == Code.INVALID_ARGUMENT
    assert answer.error.startswith("grpc-timeout: ")


@pytest.mark.parametrize(
    "path",
    ["/tensorflow.serving.PredictionService/Guess", "/other.Service/Method", "/", "/seldon.protos.Seldon/Guess"],
)
def test_unknown_method(client: GrpcClient, path: str) -> None:
    assert client.call(path, predict()).code == Code.UNIMPLEMENTED


@pytest.mark.parametrize("metadata", [{"content-type": "application/json"}, {":method": "GET"}])
def test_rest_over_http2(client: GrpcClient, gateway: Gateway, metadata: dict[str, str]) -> None:
    stream = client.open("/v1/models/m:predict", metadata)
    client.data(stream, b'{"instances": [1]}', end=True)
    answer = client.answer(stream)
    assert answer.head == {":status": "415", "content-type": "text/plain"}
    assert answer.data == b"REST over HTTP/2 is not served here: send it over HTTP/1.1, or send gRPC\n"
    assert gateway.refusals() == {("unknown", "rest_over_http2"): 1}


def test_rest_over_http2_without_end(start_gateway: Callable[..., Gateway], v1: GrpcServer) -> None:
    gateway = start_gateway(table(v1=[v1]), timeout=0.05)
    client = gateway.grpc_client()
    stream = client.open("/v1/models/m:predict", {"content-type": "application/json"})
    client.data(stream, b'{"instances": [1')
    assert (client.answer(stream).head or {})[":status"] == "415"


def test_malformed_head_ends_the_stream_alone(client: GrpcClient) -> None:
    answer = client.answer(client.open(PREDICT, {"x-two-lines": "a\r\nb"}))
    assert answer.reset == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("service", "code", "message"),
    [
        (b"", Code.OK, b"\x08\x01"),
        (b"tensorflow.serving.PredictionService", Code.OK, b"\x08\x01"),
        (b"seldon.protos.Seldon", Code.OK, b"\x08\x01"),
        (b"nobody", Code.NOT_FOUND, b""),
    ],
)
def test_health(client: GrpcClient, service: bytes, code: Code, message: bytes) -> None:
    answer = client.call(HEALTH, field(1, service))
    assert (answer.code, bytes(answer.data)) == (code, frame(message) if message else b"")


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady"])
def test_open_inference_health(client: GrpcClient, method: str) -> None:
    answer = client.call(f"/inference.GRPCInferenceService/{method}", b"")
    assert (answer.code, bytes(answer.data)) == (Code.OK, frame(b"\x08\x01"))
    assert answer.version is None


def test_open_inference_health_of_a_server(client: GrpcClient) -> None:
    answer = client.call("/inference.GRPCInferenceService/ServerReady", b"", {"x-turnout-deployment": "m"})
    assert (answer.code, answer.error) == (
        Code.UNIMPLEMENTED,
        "default/m speaks TensorFlow Serving's protocols, the request is oip-grpc",
    )


def test_malformed_health_check(client: GrpcClient) -> None:
    assert client.call(HEALTH, b"\x0a\x7f").code == Code.INVALID_ARGUMENT


def test_status_goes_to_a_version(client: GrpcClient) -> None:
    answer = client.call(STATUS, field(1, spec("m", 2).SerializeToString()))
    assert (answer.version, answer.message) == ("v2", b"two")


def test_before_the_first_table(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway(None)
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, "this gateway has no route table yet")


def test_many_calls_at_once_keep_apart(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    def echo(call: ServerCall) -> None:
        call.answer(call.metadata["x-id"].encode())

    gateway = start_gateway(table(v1=[grpc_servers(echo)]))
    client = gateway.grpc_client()
    streams = {client.start(PREDICT, predict(), {"x-id": str(number)}): number for number in range(300)}
    answers: dict[int, Answer] = {number: client.answer(stream) for stream, number in streams.items()}
    assert {number: answer.message for number, answer in answers.items()} == {n: b"%d" % n for n in range(300)}
    assert gateway.outcomes("v1") == {"success": 300}


@pytest.mark.parametrize(
    "path", ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/seldon.protos.Seldon/X"]
)
def test_a_method_that_is_not_served_is_answered_before_its_message_ends(gateway: Gateway, path: str) -> None:
    """A stream of both directions may wait for an answer before it sends anything."""
    client = gateway.grpc_client()
    assert client.answer(client.open(path)).code == Code.UNIMPLEMENTED


def test_neither_another_host_nor_what_looks_like_ours_goes_on(client: GrpcClient, v1: GrpcServer) -> None:
    sent = {"host": "evil", "x_turnout_version": "v9", "x-turnout_assignment": "default/m=v9", "x-mine": "kept"}
    assert client.call(PREDICT, predict(), sent).code == Code.OK
    metadata = v1.calls[0].metadata
    assert metadata["x-mine"] == "kept"
    assert metadata[":authority"] == "test"
    assert not {"host", "x_turnout_version", "x-turnout_assignment"} & metadata.keys()
