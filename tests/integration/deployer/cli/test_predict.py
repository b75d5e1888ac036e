"""A prediction asked for over REST."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import deployer.cli.predict as predict
from deployer.errors import TurnoutError
from tests.fakes.deployments import deployment
from tests.fakes.rest_servers import Script, Server, always, answer

Servers = Callable[[Script], Server]
DOCUMENT = deployment("oip", {"name": "v1", "image": "team/digits"}, traffic={"stable": "v1"})


def test_what_json_can_t_hold_is_sent_as_it_was_given(servers: Servers) -> None:
    server = servers(always(answer(b'{"outputs": [NaN]}', "200 OK", "x-turnout-version: v1")))
    asked = {"inputs": [float("nan"), float("inf")]}
    version, content = predict._over_rest(f"127.0.0.1:{server.port}", DOCUMENT, asked, {})
    assert (version, str(content)) == ("v1", "{'outputs': [nan]}")
    (request,) = server.requests
    assert request.body == b'{"inputs": [NaN, Infinity]}'
    assert request.fields[b"content-type"] == b"application/json"


def test_an_answer_that_is_nested_too_deep_is_said_to_be_no_json(servers: Servers) -> None:
    server = servers(always(answer(b"[" * 100_000)))
    with pytest.raises(TurnoutError, match=r"the answer \(200\) is no JSON"):
        predict._over_rest(f"127.0.0.1:{server.port}", DOCUMENT, {}, {})
