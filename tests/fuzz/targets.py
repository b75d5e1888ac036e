"""What strangers' bytes are given to, by its name, and what has to hold of any: no exception but those that are meant,
and the same however they come cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import Final

from gateway.contract import route_table
from gateway.protocols import protobuf_scan
from gateway.protocols.grpc_message import payload
from gateway.refusal import Refusal
from gateway.wire import proxy_header
from gateway.wire.forwarded import caller_of
from gateway.wire.http2 import frames
from tests.fakes import http1_reader
from tests.fakes.http1_reader import Recorder
from tests.fakes.http2_conversation import run


def http1_requests(data: bytes) -> None:
    _cut_anywhere(data, http1_reader.requests)


def http1_answers(data: bytes) -> None:
    _cut_anywhere(data, lambda parts: http1_reader.answers(parts, ended=True))


def http2_server(data: bytes) -> None:
    _conversation(frames.PREFACE + frames.settings(), data, is_client=False)


def http2_client(data: bytes) -> None:
    _conversation(frames.settings(), data, is_client=True)


def grpc_message(data: bytes) -> None:
    for encoding in (None, b"gzip"):
        try:
            protobuf_scan.values(payload(data, encoding), 1)
        except Refusal:
            continue


def proxy_headers(data: bytes) -> None:
    whole = proxy_header.SIGNATURE + data
    try:
        found = proxy_header.read(whole)
    except proxy_header.BrokenHeader:
        return
    if found is not None:
        assert proxy_header.read(whole[: found.size]) == found
        assert proxy_header.read(whole[: found.size - 1]) is None


PROXIES: Final = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


def forwarded(data: bytes) -> None:
    """Whatever stands left of the address that a proxy adds changes nothing."""
    fields = data.split(b"\n")
    caller_of(fields, [], PROXIES)
    caller_of([], fields, PROXIES)
    assert caller_of([*fields, b"for=192.0.2.1, for=10.0.0.1"], [], PROXIES) == "192.0.2.1"
    assert caller_of([], [*fields[:-1], fields[-1] + b", 192.0.2.1, 10.0.0.1"], PROXIES) == "192.0.2.1"


def table(data: bytes) -> None:
    try:
        read = route_table.read(data).table
    except route_table.TableError:
        return
    again = route_table.read(route_table.write(read))
    assert again.table == read
    assert not again.refused


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        http1_requests,
        http1_answers,
        http2_server,
        http2_client,
        proxy_headers,
        forwarded,
        grpc_message,
        table,
    )
}


def _cut_anywhere(data: bytes, record: Callable[[Iterable[bytes]], Recorder]) -> None:
    """The first byte is where the others are cut."""
    whole, place = data[1:], data[:1]
    assert _events(record([whole])) == _events(record(http1_reader.cut(whole, place)))


def _events(recorder: Recorder) -> http1_reader.Events:
    """Of two faults in one head, the parser may find the second first where both came in one piece."""
    return [event if event[0] != "refused" else event[:1] for event in recorder.events]


def _conversation(greeting: bytes, data: bytes, *, is_client: bool) -> None:
    """The first two bytes are where the others are cut."""
    stream, places = greeting + data[2:], [len(greeting) + place for place in data[:2]]
    assert run(http1_reader.cut(stream, places), is_client=is_client) == run([stream], is_client=is_client)
