"""An HTTP/1.1 client that sends any bytes and tells exactly what comes back."""

from __future__ import annotations

import json
import socket
import struct
from types import TracebackType
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def version(self) -> str | None:
        return self.fields.get("x-turnout-version")

    @property
    def error(self) -> str:
        """The message, in the form of TensorFlow Serving and the Open Inference Protocol or of Seldon."""
        body = json.loads(self.body)
        message: str = body["error"] if "error" in body else body["status"]["info"]
        return message


class ConnectionEnded(Exception):
    """The connection ended within an answer."""


class Client:
    """One connection. Reading fails after 30 s."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def get(self, target: str, *fields: str) -> Answer:
        return self.send(request("GET", target, None, *fields)).answer()

    def post(self, target: str, body: bytes = b"{}", *fields: str) -> Answer:
        return self.send(request("POST", target, body, *fields)).answer()

    def answer(self) -> Answer:
        """The next one. Raises ConnectionEnded where the connection ends before it does."""
        status, fields = self.head()
        return Answer(status, fields, b"" if status in (204, 304) else self.body(fields))

    def body(self, fields: dict[str, str]) -> bytes:
        """What follows a head with these fields."""
        if fields.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        if "content-length" in fields:
            return self._exactly(int(fields["content-length"]))
        return self.rest()

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self._line().split(b" ")[1])
        fields: dict[str, str] = {}
        while line := self._line():
            name, value = line.decode("latin-1").split(": ", 1)
            assert name.lower() not in fields, f"two fields {name}"
            fields[name.lower()] = value
        return status, fields

    def chunk(self) -> bytes:
        """The next chunk; b"" is the last."""
        data = self._exactly(int(self._line(), 16))
        assert self._line() == b""
        return data

    def rest(self) -> bytes:
        """All up to the end of the connection."""
        try:
            return self._file.read()
        except ConnectionResetError as error:
            raise ConnectionEnded("reset") from error

    def _line(self) -> bytes:
        try:
            line = self._file.readline()
        except ConnectionResetError as error:
            raise ConnectionEnded("reset") from error
        if not line.endswith(b"\r\n"):
            raise ConnectionEnded(f"ended after {line!r}")
        return line[:-2]

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except ConnectionResetError as error:
            raise ConnectionEnded("reset") from error
        if len(data) < size:
            raise ConnectionEnded(f"{len(data)} bytes of {size}")
        return data

    def reset(self) -> None:
        """Vanish: no FIN, an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def request(method: str, target: str, body: bytes | None, *fields: str, version: str = "1.1") -> bytes:
    """Its bytes, with Host and, where there is a body, Content-Length."""
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")
