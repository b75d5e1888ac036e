"""A client that keeps to no rule: bytes out as they are, and what becomes of its connection."""

from __future__ import annotations

import re
import selectors
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic

from gateway.protocols import grpc_message
from gateway.wire.http2 import frames
from gateway.wire.http2.fields import encode_all
from gateway.wire.http2.frames import ErrorCode

PATH = b"/tensorflow.serving.PredictionService/Predict"
BLOCK = encode_all(
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH),
    (b":authority", b"x"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def message(model: str) -> bytes:
    """A PredictRequest with its prefix that has nothing but the model's name."""
    name = model.encode()
    return grpc_message.frame(b"\x0a%c\x0a%c%b" % (len(name) + 2, len(name), name))


def http1(target: str, body: bytes = b"{}", *lines: bytes) -> bytes:
    head = b"".join(line + b"\r\n" for line in (b"Host: x", *lines, b"Content-Length: %d" % len(body)))
    return b"POST %b HTTP/1.1\r\n%b\r\n%b" % (target.encode(), head, body)


def head(stream_id: int, block: bytes = BLOCK, *, end: bool = False) -> bytes:
    return frames.header_frames(stream_id, block, end)


def data(stream_id: int, payload: bytes, *, end: bool = True) -> bytes:
    """As many frames as it takes."""
    size = frames.MAX_PAYLOAD
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    flags = [0] * (len(pieces) - 1) + [frames.END_STREAM if end else 0]
    return b"".join(
        frames.frame(frames.DATA, flag, stream_id, piece) for flag, piece in zip(flags, pieces, strict=True)
    )


def call(stream_id: int, model: str) -> bytes:
    """A whole one."""
    return head(stream_id) + data(stream_id, message(model))


class Peer:
    """One connection. What it is given to send goes out in `exchange`."""

    def __init__(self, port: int, first: bytes = b"", *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(5)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self._out = memoryview(first)
        self._came = b""
        self.sent = 0
        self.answers: Counter[str] = Counter()
        """HTTP statuses of HTTP/1.1, and names of the frames that end streams."""
        self.ending = ""
        """How the gateway ended the connection; "" while it hasn't."""
        self.next_id = 1

    @property
    def idle(self) -> bool:
        """All that it was given is sent."""
        return not self._out

    def give(self, more: bytes) -> None:
        self._out = memoryview(bytes(self._out) + more)

    def write(self) -> None:
        try:
            count = self.socket.send(self._out[:262_144])
            self._out = self._out[count:]
            self.sent += count
        except BlockingIOError:
            pass
        except OSError:
            self._out = self._out[:0]  # why, the next read tells

    def read(self) -> None:
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self.ending = self.ending or "reset"
        if not data:
            self.ending = self.ending or "closed"
            self.socket.close()
        self._came = self.take(self._came + data)

    def take(self, came: bytes) -> bytes:
        """Read what has come whole. What is left."""
        self.answers.update(status.decode() for status in _STATUS.findall(came))
        return came[-12:] if not _STATUS.search(came[-12:]) else b""

    def close(self) -> None:
        self.socket.close()


class Http2Peer(Peer):
    def __init__(
        self, port: int, *settings: tuple[int, int], acknowledge: bool = True, receive_buffer: int | None = None
    ) -> None:
        first = frames.PREFACE + frames.settings(*settings)
        if acknowledge:
            first += frames.frame(frames.SETTINGS, frames.ACK, 0, b"")
        super().__init__(port, first, receive_buffer=receive_buffer)

    def take(self, came: bytes) -> bytes:
        position = 0
        while len(came) - position >= frames.HEAD_SIZE:
            head, flags, _ = frames.read_head(came, position)
            kind, stop = head & 0xFF, position + frames.HEAD_SIZE + (head >> 8)
            if stop > len(came):
                break
            payload = came[position + frames.HEAD_SIZE : stop]
            if kind == frames.GOAWAY and not self.ending:
                self.ending = ErrorCode(frames.read_number(payload[4:8])).name
            elif kind == frames.RST_STREAM:
                self.answers[ErrorCode(frames.read_number(payload)).name] += 1
            elif kind == frames.HEADERS and flags & frames.END_STREAM:
                self.answers["ended"] += 1
            position = stop
        return came[position:]


def exchange(
    peers: Sequence[Peer], seconds: float, more: Callable[[Peer], bytes] | None = None, *, read: bool = True
) -> None:
    """Send what they were given and read what comes, for so long; `more` gives what a peer that is idle sends next.

    It ends sooner where the gateway has ended all their connections.
    """
    end = monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            if peer.socket.fileno() >= 0:
                selector.register(peer.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)
        while (left := end - monotonic()) > 0 and selector.get_map():
            for key, ready in selector.select(left):
                peer = key.data
                if ready & selectors.EVENT_READ and read:
                    peer.read()
                    if peer.socket.fileno() < 0:
                        selector.unregister(key.fileobj)
                        continue
                if ready & selectors.EVENT_WRITE:
                    if peer.idle and more is not None:
                        peer.give(more(peer))
                    if not peer.idle:
                        peer.write()
                wanted = selectors.EVENT_READ if read else 0
                if more is not None or not peer.idle:
                    wanted |= selectors.EVENT_WRITE
                if wanted:
                    selector.modify(key.fileobj, wanted, peer)
                else:
                    selector.unregister(key.fileobj)


def endings(peers: Sequence[Peer]) -> str:
    """How the gateway ended their connections, and what they were answered, in a few words."""
    ended = Counter(peer.ending or "open" for peer in peers)
    answers: Counter[str] = sum((peer.answers for peer in peers), Counter())
    parts = [f"{count} {how}" for how, count in ended.most_common(3)]
    if answers:
        parts.append("answers " + ", ".join(f"{count} of {what}" for what, count in answers.most_common(3)))
    return "; ".join(parts)
