"""Which gateways are asked for evidence, and waited for."""

from __future__ import annotations

import pytest

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.rollout.gateway_addresses import addresses
from tests.fakes.store import piece

CASES: dict[str, tuple[list[Object], dict[str, bool]]] = {
    "none": ([], {}),
    "one that serves": ([piece("10.0.0.1:8081", ready=True, serving=True)], {"10.0.0.1:8081": True}),
    "one that says nothing": ([piece("10.0.0.1:8081")], {"10.0.0.1:8081": True}),
    "one that is not ready yet, and listed all the same": (
        [piece("10.0.0.1:8081", ready=True, serving=False)],
        {},
    ),
    "one that ends": (
        [piece("10.0.0.1:8081", ready=True, serving=True, terminating=True)],
        {"10.0.0.1:8081": False},
    ),
    "one that ends and serves no more": (
        [piece("10.0.0.1:8081", ready=False, serving=False, terminating=True)],
        {"10.0.0.1:8081": False},
    ),
    "another port": ([piece("10.0.0.1:8080", name="data", serving=True)], {}),
    "in two slices": (
        [piece("10.0.0.1:8081", serving=True), piece("10.0.0.1:8081", serving=True)],
        {"10.0.0.1:8081": True},
    ),
    "by version 6": ([piece("fd00::1:8081", serving=True)], {"[fd00::1]:8081": True}),
    "a slice without any": ([{"metadata": {}, "ports": None, "endpoints": None}], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_asked_and_waited_for(case: str) -> None:
    slices, found = CASES[case]
    assert addresses(slices) == found
