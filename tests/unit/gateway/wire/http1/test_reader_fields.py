"""What the reader takes note of in a request's fields."""

from __future__ import annotations

import pytest

from tests.fakes.http1_reader import POST, requests


@pytest.mark.parametrize(
    ("fields", "request_id", "onward"),
    [
        ([b"X-Request-ID: a-1"], b"a-1", [b"X-Request-ID: a-1\r\n"]),
        ([b"x-request-id: " + b"a" * 120], b"a" * 120, [b"x-request-id: " + b"a" * 120 + b"\r\n"]),
        ([b"x-request-id: " + b"a" * 121], b"", []),
        ([b"x-request-id: two words"], b"", []),
        ([b"x-request-id:"], b"", []),
        ([b"x-request-id: a", b"x-request-id: b"], b"a", [b"x-request-id: a\r\n"]),
        ([], b"", []),
    ],
)
def test_an_id_goes_on_where_it_is_fit_for_a_log(fields: list[bytes], request_id: bytes, onward: list[bytes]) -> None:
    (head,) = requests([POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"]).heads
    assert head.request_id == request_id
    assert head.lines == [b"Host: a\r\n", *onward]


@pytest.mark.parametrize(("field", "origin"), [(b"Origin: https://a.example\r\n", b"https://a.example"), (b"", None)])
def test_the_origin_of_a_page_is_known_and_goes_on(field: bytes, origin: bytes | None) -> None:
    (head,) = requests([POST + field + b"\r\n"]).heads
    assert head.origin == origin
    assert head.lines == [b"Host: a\r\n", *([field] if field else [])]
