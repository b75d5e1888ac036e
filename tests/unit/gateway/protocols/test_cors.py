"""What lets a browser show a page of another origin an answer."""

from __future__ import annotations

import pytest

from gateway.protocols import cors

APP = b"https://app.example.com"
VARY = b"Vary: Origin\r\n"
ORIGINS = (APP.decode(), "http://localhost:3000")


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [
        ({b"origin": APP, b"access-control-request-method": b"POST"}, True),
        ({b"origin": APP}, False),
        ({b"access-control-request-method": b"POST"}, False),
    ],
)
def test_a_preflight_says_what_is_to_follow(fields: dict[bytes, bytes], is_one: bool) -> None:
    assert cors.is_preflight(fields) is is_one


@pytest.mark.parametrize(
    ("origin", "origins", "begins"),
    [
        (APP, ORIGINS, b"Access-Control-Allow-Origin: https://app.example.com\r\n"),
        (b"https://any.example.com", ("*",), b"Access-Control-Allow-Origin: *\r\n"),
        (b"null", ("*",), b"Access-Control-Allow-Origin: *\r\n"),
    ],
)
def test_a_page_that_may_ask(origin: bytes, origins: tuple[str, ...], begins: bytes) -> None:
    asked = {b"origin": origin}
    begins = b"Vary: Origin\r\n" + begins
    assert cors.answer_lines(origin, origins).startswith(begins + b"Access-Control-Expose-Headers: ")
    assert cors.preflight_lines(asked, origins).startswith(begins + b"Access-Control-Allow-Methods: ")


@pytest.mark.parametrize("origin", [b"https://other.example.com", APP + b":443", APP.upper(), b"null", b"", b"\xff"])
def test_a_page_that_may_not(origin: bytes) -> None:
    assert cors.answer_lines(origin, ORIGINS) == cors.preflight_lines({b"origin": origin}, ORIGINS) == VARY


@pytest.mark.parametrize("origins", [ORIGINS, ("*",)])
def test_who_keeps_an_answer_to_nobodys_page_must_not_give_it_to_one(origins: tuple[str, ...]) -> None:
    assert cors.answer_lines(None, origins) == VARY


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (b"content-type, x-user", b"Access-Control-Allow-Headers: content-type, x-user\r\n"),
        (b"", b""),
        (b"a\r\nx: y", b""),
        (b"a" * 1025, b""),
    ],
)
def test_what_a_page_wants_to_send_is_allowed(names: bytes, allowed: bytes) -> None:
    lines = cors.preflight_lines({b"origin": APP, b"access-control-request-headers": names}, ORIGINS)
    assert (b"Access-Control-Allow-Headers" in lines) is bool(allowed)
    assert allowed in lines


@pytest.mark.parametrize(
    ("line", "own"),
    [(b"Access-Control-Allow-Origin: *\r\n", True), (b"access-control-max-age: 1\r\n", True), (b"Vary: a\r\n", False)],
)
def test_what_a_server_says_of_it(line: bytes, own: bool) -> None:
    assert cors.is_own(line) is own
