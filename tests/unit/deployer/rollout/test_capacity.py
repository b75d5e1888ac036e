"""Replicas and the traffic that they can take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.rollout.capacity import floors, percentages
from tests.fakes.rollout import declared

SCALED = {"minReplicas": 2, "maxReplicas": 8}


@pytest.mark.parametrize(
    ("base", "ready", "percent"),
    [(8, 0, 0), (8, 1, 0), (8, 2, 25), (8, 7, 87.5), (8, 8, 100), (4, 2, 50), (4, 5, 100), (20, 4, 20), (20, 8, 100)],
)
def test_what_replicas_can_take(base: int, ready: int, percent: float) -> None:
    assert percentages(declared(replicas=SCALED), base, {"v1": base, "v2": ready})["v2"] == percent


@pytest.mark.parametrize(
    ("base", "percent", "replicas"),
    [(8, 5, None), (8, 25, None), (8, 26, 3), (8, 100, 8), (3, 100, 3), (20, 100, 8), (20, 30, 6), (7, 0, None)],
)
def test_what_a_part_of_the_traffic_takes(base: int, percent: float, replicas: int | None) -> None:
    assert floors(declared(replicas=SCALED), base, {"v2": percent}).get("v2") == replicas


@given(st.integers(1, 100), st.integers(1, 10_000), st.integers(1, 8), st.integers(0, 60))
def test_the_replicas_of_a_floor_can_take_what_it_is_for(base: int, hundredths: int, least: int, more: int) -> None:
    document = declared(replicas={"minReplicas": least, "maxReplicas": least + more})
    percent = hundredths / 100
    replicas = floors(document, base, {"v2": percent}).get("v2", least)
    assert percentages(document, base, {"v2": replicas})["v2"] >= percent
