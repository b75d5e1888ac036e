"""What one request counts for, by what becomes of it, with timers that the test plays. On real connections:
tests/integration/gateway/stats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.contract.route_table import Sticky
from gateway.stats import counters, evidence_totals
from gateway.stats.counters import Counters
from gateway.stats.evidence_recorder import PATIENCE, Evidence
from gateway.stats.evidence_slots import COUNTS
from tests.fakes.gateway import deployment

KEY = ("default", "m", "v2", "7")
SALT = "default/m v1 v2 1"
GROUP = 5


class Timers:
    """In place of the loop: what it was asked to call, and when; `pass_by` calls it unless that was cancelled."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._due: Callable[[], None] | None = None

    def call_later(self, delay: float, callback: Callable[[int], None], argument: int) -> Timers:
        self.delays.append(delay)
        self._due = lambda: callback(argument)
        return self

    def cancel(self) -> None:
        self._due = None

    def pass_by(self) -> None:
        if self._due is not None:
            self._due()


class Recording:
    """One request to the canary, and what it counts."""

    def __init__(self, bucket: int | None, slow: float | None) -> None:
        self._memory = bytearray(counters.SIZE)
        routed = deployment("m", {"v1": [], "v2": []}, weight=5, epoch=7, salt=SALT, sticky=Sticky(header="x-user"))
        self._keyed = bucket is not None
        arm = Counters(self._memory).evidence.of(routed).arms["v2", self._keyed]
        self.evidence = Evidence(arm, GROUP, bucket, slow)
        self.evidence.awaited()

    @property
    def row(self) -> list[int]:
        """Requests, errors, slow ones, rejections."""
        return self._of_group(evidence_totals.read(self._memory).counts[*KEY, "true" if self._keyed else "false"])

    @property
    def buckets(self) -> list[int]:
        """As bitmaps."""
        return self._of_group(evidence_totals.read(self._memory).buckets["default", "m", "v2", SALT])

    @staticmethod
    def _of_group(row: list[int]) -> list[int]:
        """The caller's group's; all others have nothing."""
        there = slice(GROUP * COUNTS, (GROUP + 1) * COUNTS)
        assert not any(row[: there.start] + row[there.stop :])
        return row[there]


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: timers)
    return timers


@pytest.mark.parametrize(
    ("status", "row"),
    [
        (200, [1, 0, 0, 0]),
        (399, [1, 0, 0, 0]),
        (400, [1, 0, 0, 1]),
        (429, [1, 0, 0, 1]),
        (499, [1, 0, 0, 1]),
        (500, [1, 1, 0, 0]),
        (503, [1, 1, 0, 0]),
    ],
)
def test_an_answer_counts_by_its_status(status: int, row: list[int]) -> None:
    recording = Recording(None, None)
    recording.evidence.answered(status, 0.0)
    assert recording.row == row


def test_an_attempt_without_an_answer_is_an_error() -> None:
    recording = Recording(None, None)
    recording.evidence.failed()
    assert recording.row == [1, 1, 0, 0]


def test_nothing_is_counted_while_nothing_is_known() -> None:
    recording = Recording(None, None)
    assert recording.row == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("waited", "row"),
    [(0.0, [0, 0, 0, 0]), (PATIENCE - 0.01, [0, 0, 0, 0]), (PATIENCE, [1, 1, 0, 0]), (60.0, [1, 1, 0, 0])],
)
def test_who_leaves_says_something_after_some_patience(waited: float, row: list[int]) -> None:
    recording = Recording(None, None)
    recording.evidence.left(waited)
    assert recording.row == row


def test_slow_is_counted_the_moment_the_limit_passes_and_the_request_once(timers: Timers) -> None:
    recording = Recording(None, 0.25)
    assert timers.delays == [0.25]
    timers.pass_by()
    assert recording.row == [1, 0, 1, 0]
    recording.evidence.answered(500, 0.0)
    assert recording.row == [1, 1, 1, 0]


def test_what_is_over_in_time_is_not_slow(timers: Timers) -> None:
    recording = Recording(None, 0.25)
    recording.evidence.answered(200, 0.0)
    timers.pass_by()
    assert recording.row == [1, 0, 0, 0]


def test_who_leaves_a_slow_request_adds_nothing(timers: Timers) -> None:
    recording = Recording(None, 0.25)
    timers.pass_by()
    recording.evidence.left(60.0)
    assert recording.row == [1, 0, 1, 0]


def test_a_bucket_is_marked_with_what_was_bad_in_it(timers: Timers) -> None:
    recording = Recording(3, 0.25)
    timers.pass_by()
    recording.evidence.failed()
    assert recording.row == [1, 1, 1, 0]
    assert recording.buckets == [1 << 3, 1 << 3, 1 << 3, 0]
