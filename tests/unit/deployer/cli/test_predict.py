from __future__ import annotations

import pytest

import deployer.cli.predict as predict
from deployer.errors import TurnoutError
from tests.fakes.deployments import deployment


@pytest.mark.parametrize(("spec", "waits"), [({}, 60), ({"timeout": "5m"}, 300), ({"timeout": "500ms"}, 0.5)])
def test_it_waits_for_as_long_as_the_gateway_does(spec: dict[str, str], waits: float) -> None:
    document = deployment("oip", {"name": "v1", "image": "team/digits"}, traffic={"stable": "v1"}, **spec)
    assert predict._deadline(document) == waits


def test_data_that_never_end_are_refused() -> None:
    with pytest.raises(TurnoutError, match="/dev/zero is over 67108864 bytes, more than a request may have"):
        predict._data("@/dev/zero")


@pytest.mark.parametrize("text", ["", "[1", "[" * 100_000, f"[{'9' * 5000}]", '["\\ud800"]', '["\udce9"]'])
def test_what_is_no_json_is_said_so(text: str) -> None:
    with pytest.raises(TurnoutError, match="the data is no JSON: "):
        predict._data(text)


@pytest.mark.parametrize("text", ['["é"]', '["\udcc3\udca9"]'])
def test_data_are_taken_as_typed_where_the_terminal_knows_no_such_letters(text: str) -> None:
    """Python has bytes of the command line that are no text as lone surrogates (PEP 383)."""
    assert predict._data(text) == ["é"]
