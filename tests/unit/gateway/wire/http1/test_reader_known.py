"""Heads that are known again, so that no parser is needed for them: as if each came for the first time."""

from __future__ import annotations

import pytest

from gateway.wire.http1 import request_reader
from gateway.wire.http1.request_reader import RequestReader
from tests.fakes.http1_reader import LIMIT, NEXT, POST, Recorder, requests


@pytest.mark.parametrize("name", [b"Authorization", b"proxy-authorization", b"Cookie"])
def test_secrets_are_never_remembered(name: bytes) -> None:
    data = b"GET /secret HTTP/1.1\r\nHost: a\r\n%b: hunter2\r\n\r\n" % name
    for _ in range(2):
        requests([data])
    assert not any(b"hunter2" in known for known in request_reader._known)


def test_a_head_is_known_again_before_its_body_has_come() -> None:
    """So that the next can be read in one piece, whatever its size."""
    data = POST + b"X-Known: 1\r\nContent-Length: 9000\r\n\r\n" + bytes(9000)
    reader = RequestReader(Recorder(), LIMIT)
    assert reader.known_size(data, 0) == 0
    reader.receive(data[:200])
    assert reader.known_size(b"xxx" + data + NEXT, 3) == len(data)


def test_a_head_that_is_known_may_come_with_half_its_body() -> None:
    message = POST + b"Content-Length: 4\r\nX-Half: 1\r\n\r\nbody"
    whole = requests([message]).events
    assert requests([message, message[:-2], message[-2:]]).events == whole * 2
