"""What is read of a message's head, and how heads are written."""

from __future__ import annotations

import pytest

from gateway.wire.http1.heads import Head, authority, chunk, first_values, origin_form, request_head


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([], {}),
        ([b"X-User: alice\r\n"], {b"x-user": b"alice"}),
        ([b"x-user: \talice \r\n", b"X-USER: bob\r\n"], {b"x-user": b"alice"}),
        ([b"cookie: a=1\r\n", b"x: y\r\n", b"Cookie: b=2\r\n"], {b"cookie": b"a=1; b=2", b"x": b"y"}),
        ([b"x: a:b\r\n"], {b"x": b"a:b"}),
        ([b"x:\r\n"], {b"x": b""}),
    ],
)
def test_of_each_field_the_first_value_counts_and_of_cookies_all(
    lines: list[bytes], values: dict[bytes, bytes]
) -> None:
    head = Head()
    head.lines = lines
    assert first_values(head) == values


def test_what_the_reader_has_taken_for_itself_is_there_too() -> None:
    head = Head()
    head.own = {b"x-turnout-version": b"v1"}
    head.lines = [b"x-turnout-version: v2\r\n", b"a: b\r\n"]
    assert first_values(head) == {b"x-turnout-version": b"v1", b"a": b"b"}
    assert head.own == {b"x-turnout-version": b"v1"}


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/v1/models/m", b"/v1/models/m"),
        (b"http://host/v1/models/m?a=b", b"/v1/models/m?a=b"),
        (b"http://host:80", b"/"),
        (b"http://host?a=b", b"/?a=b"),
        (b"*", b"*"),
    ],
)
def test_a_target_in_absolute_form_is_taken_as_its_path(target: bytes, path: bytes) -> None:
    assert origin_form(target) == path


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/v1/models/m", None),
        (b"http://host/v1/models/m@1", b"host"),
        (b"HTTPS://user:word@host:80?a=b", b"host:80"),
        (b"*", None),
    ],
)
def test_the_host_of_a_target_in_absolute_form(target: bytes, host: bytes | None) -> None:
    assert authority(target) == host


@pytest.mark.parametrize(
    ("method", "length", "end"),
    [
        (b"GET", 0, b""),
        (b"GET", 3, b"Content-Length: 3\r\n"),
        (b"POST", 0, b"Content-Length: 0\r\n"),
        (b"POST", 12, b"Content-Length: 12\r\n"),
    ],
)
def test_a_forwarded_head_says_how_long_the_body_is(method: bytes, length: int, end: bytes) -> None:
    assert request_head(method, b"/p", [b"a: b\r\n"], length) == method + b" /p HTTP/1.1\r\na: b\r\n" + end


def test_a_chunk_begins_with_its_length() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
