"""When the end of a connection says nothing of the request that was on its way to it."""

from __future__ import annotations

import pytest

from gateway.upstream.failure import CLOSED_SECONDS, RACE_SECONDS, RESET_SECONDS, is_race


@pytest.mark.parametrize(
    ("idle", "since", "closed", "race"),
    [
        (CLOSED_SECONDS, 0.001, True, True),
        (0.05, 0.001, True, True),
        (CLOSED_SECONDS / 2, 0.001, True, False),
        (0.0, 0.0, True, False),
        (60.0, RACE_SECONDS, True, False),
        (60.0, 30.0, True, False),
        (0.05, 0.001, False, False),
        (RESET_SECONDS, 0.001, False, True),
        (RESET_SECONDS, RACE_SECONDS, False, False),
    ],
)
def test_only_what_was_idle_and_ends_at_once_was_being_closed(
    idle: float, since: float, closed: bool, race: bool
) -> None:
    assert is_race(idle, since, closed=closed) is race
