"""A gRPC client at the level of HTTP/2's streams: it sends any bytes and tells exactly what comes back.

client = GrpcClient(gateway.address)
client.call(PREDICT, predict("m")).code             # the whole way
stream = client.open(PREDICT)                        # or step by step
client.data(stream, half)
client.reset(stream)
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType

from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Field, Fields, encode_all
from gateway.wire.http2.frames import ErrorCode
from protos.tfs_pb2 import ModelSpec, PredictRequest

PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
SELDON_PREDICT = "/seldon.protos.Seldon/Predict"
SELDON_FEEDBACK = "/seldon.protos.Seldon/SendFeedback"
HEALTH = "/grpc.health.v1.Health/Check"

WIDE = Limits(stream_window=16 << 20, connection_window=64 << 20)
"""Of a client that always reads."""


class Answer:
    """What came on one stream so far."""

    def __init__(self) -> None:
        self.head: dict[str, str] | None = None
        self.data = bytearray()
        self.trailers: dict[str, str] | None = None
        """Also those of a Trailers-Only answer, which then are the head too."""
        self.reset: int | None = None
        """The code of RST_STREAM; REFUSED_STREAM also where GOAWAY leaves the stream out."""
        self.over = False

    @property
    def code(self) -> Code | None:
        status = (self.trailers or {}).get("grpc-status")
        return None if status is None else Code(int(status))

    @property
    def error(self) -> str:
        return (self.trailers or {}).get("grpc-message", "")

    @property
    def version(self) -> str | None:
        return (self.head or {}).get("x-turnout-version")

    @property
    def message(self) -> bytes:
        """The one message, without its prefix."""
        assert self.data == frame(bytes(self.data[5:])), f"not one whole message: {bytes(self.data[:40])!r}"
        return bytes(self.data[5:])

    def __repr__(self) -> str:
        return f"<{self.code!r} {self.error!r} head={self.head} data={len(self.data)} reset={self.reset}>"


class GrpcClient:
    """One connection. Waiting fails after 30 s."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        limits: Limits = WIDE,
        greedy: bool = True,
        receive_buffer: int | None = None,
        first: bytes = b"",
    ) -> None:
        """A client that is not `greedy` gives no credit for what it gets: it takes a window's worth, then no more.
        `first` comes before the connection's own bytes."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(30)
        self.socket.connect(address)
        self.socket.sendall(first)
        self.wire = Connection(self, client=True, limits=limits)
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int]] = []
        """Last stream and code of each GOAWAY."""
        self.pongs = 0
        self.greedy = greedy
        self.corked = False
        """What is to be sent is kept: the next `flush` without it sends all in one piece."""
        self.ended = False
        """The gateway has closed the connection."""
        self.wire.start()
        self.flush()

    # To send.

    def open(self, path: str, metadata: Mapping[str, str] | None = None, *, end: bool = False) -> int:
        """The stream of a call whose head is sent. A value of `metadata` replaces a field that is there anyway."""
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
        } | dict(metadata or {})
        block = encode_all(*((name.encode(), value.encode()) for name, value in fields.items()))
        stream = self.wire.open(block, end)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.wire.data(stream, data, end)
        self.flush()

    def start(self, path: str, message: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """The stream of a call that is sent whole; `message` without its prefix."""
        stream = self.open(path, metadata)
        self.data(stream, frame(message), end=True)
        return stream

    def reset(self, stream: int, code: ErrorCode = ErrorCode.CANCEL) -> None:
        self.wire.reset(stream, code)
        self.flush()

    def send(self, raw: bytes) -> None:
        """Any bytes, frames or not."""
        self.socket.sendall(raw)

    def flush(self) -> None:
        if not self.corked and (out := self.wire.take()):
            self.socket.sendall(out)

    # To hear.

    def call(self, path: str, message: bytes, metadata: Mapping[str, str] | None = None) -> Answer:
        return self.answer(self.start(path, message, metadata))

    def answer(self, stream: int) -> Answer:
        """The whole of it."""
        answer = self.answers[stream]
        self.until(lambda: answer.over)
        return answer

    def until(self, condition: Callable[[], bool]) -> None:
        """Read until the condition holds."""
        while not condition():
            assert not self.ended, f"the gateway has closed the connection: {self.wire.reason}"
            self.read()

    def read(self) -> None:
        """What the next read of the socket brings."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.wire.receive(data, monotonic())
        while self.wire.behind:
            self.wire.receive(b"", monotonic())
        if not self.ended:
            self.flush()

    def until_ended(self) -> None:
        while not self.ended:
            self.read()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> GrpcClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        answer = self.answers[stream_id]
        answer.head = _texts(fields)
        if end_stream:
            answer.trailers = answer.head
            answer.over = True

    def on_oversize(self, stream_id: int) -> None: ...

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None: ...

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        self.on_headers(stream_id, fields, False)
        self.on_data(stream_id, data, False)
        self.on_trailers(stream_id, trailers)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        answer = self.answers[stream_id]
        answer.data += data
        answer.over = end_stream
        return self.greedy

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        answer = self.answers[stream_id]
        answer.trailers = _texts(fields)
        answer.over = True

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        answer = self.answers[stream_id]
        answer.reset = ErrorCode.REFUSED_STREAM if refused else code
        answer.over = True

    def on_writable(self, stream_id: int) -> None: ...

    def on_goaway(self, last_id: int, code: int) -> None:
        self.goaways.append((last_id, code))

    def on_settings(self) -> None: ...

    def on_pong(self) -> None:
        self.pongs += 1


def _texts(fields: Sequence[Field]) -> dict[str, str]:
    texts = {field.name.decode(): field.value.decode() for field in fields}
    assert len(texts) == len(fields), f"fields that repeat: {[field[:2] for field in fields]}"
    return texts


def spec(name: str, version: int | None = None, label: str | None = None) -> ModelSpec:
    made = ModelSpec(name=name, signature_name="serving_default")
    if version is not None:
        made.version.value = version
    if label is not None:
        made.version_label = label
    return made


def predict(name: str = "m", *, version: int | None = None, label: str | None = None, size: int = 0) -> bytes:
    """A PredictRequest; `size` bytes of it are a tensor's."""
    request = PredictRequest(model_spec=spec(name, version, label))
    if size:
        request.inputs["x"].tensor_content = bytes(size)
    return request.SerializeToString()


def field(number: int, value: bytes) -> bytes:
    """A short field of a protobuf message, as bytes."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value
