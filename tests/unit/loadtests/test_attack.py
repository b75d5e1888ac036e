from __future__ import annotations

from collections import Counter

import pytest

from loadtests.attack import measurement
from loadtests.attack.measurement import MIB, Measurement, Record, Sample, Span

SPANS = Span(0, 10), Span(10, 20), Span(20, 30)


def measure(records: list[Record]) -> Measurement:
    samples = [
        Sample(5, 100 * MIB, 1.0),
        Sample(12, 300 * MIB, 2.0),
        Sample(16, 200 * MIB, 8.0),
        Sample(25, 110 * MIB, 9.0),
    ]
    return measurement.measure("flood", "all time out", SPANS, records, samples, "1 closed")


def test_what_failed_is_counted_from_the_attack_on() -> None:
    found = measure(
        [Record(1, 0.01, "reset"), Record(11, 0.01, "ok"), Record(12, 5, "time-out"), Record(21, 0.01, "503")]
    )
    assert (found.requests, found.failed) == (3, Counter({"time-out": 1, "503": 1}))


def test_p99_is_of_each_span() -> None:
    fast = [Record(number / 20, 0.01, "ok") for number in range(200)]
    slow = [Record(10 + number / 20, 0.01 if number < 190 else 0.05, "ok") for number in range(200)]
    assert measure([*fast, *slow, Record(25, 0.02, "ok")]).p99 == pytest.approx((0.01, 0.05, 0.02))


def test_the_table_has_a_line_for_each_attack() -> None:
    found = measure([Record(1, 0.01, "ok"), Record(11, 0.02, "ok"), Record(12, 5, "time-out"), Record(21, 0.01, "ok")])
    lines = measurement.table([found, found]).splitlines()
    assert len(lines) == 4
    assert lines[2] == (
        "| flood | all time out | 1 of 3 (1 time-out) | 500.0 times, then 1.0 times 10 ms | 1.5 |"
        " 100 → 300 → 110 MiB | 1 closed |"
    )
