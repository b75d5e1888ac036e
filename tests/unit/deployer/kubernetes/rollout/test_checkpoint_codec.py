from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.kubernetes.rollout.checkpoint_codec import decoded, encoded
from deployer.kubernetes.status.model import MAX_KEPT
from deployer.rollout import checkpoint as keeping
from deployer.rollout.analysis.buckets import Buckets
from deployer.rollout.analysis.evidence import SOURCES, EvidenceLedger, Source
from deployer.rollout.analysis.reading import GROUPS, Count
from deployer.rollout.checkpoint import Checkpoint
from gateway.contract.evidence import BUCKETS, CALLER_GROUPS, SIGNALS


@given(st.text())
def test_what_is_packed_comes_back(text: str) -> None:
    assert decoded(encoded(text)) == text


@pytest.mark.parametrize("text", ["", "?", "AAAA", '{"rollout": null}', encoded("x")[:-5], "é"])
def test_what_is_something_else_is_nothing(text: str) -> None:
    assert decoded(text) == ""


def test_the_most_that_is_kept_has_room() -> None:
    """Of as many gateways as are remembered, with sticky keys of which half have failed, in eight epochs."""
    draw = random.Random(1)

    def four() -> tuple[int, int, int, int]:
        return draw.randrange(10**6), draw.randrange(10**6), draw.randrange(10**6), draw.randrange(10**6)

    def counts() -> tuple[Count, ...]:
        return tuple(
            Count(version, epoch, keyed, *four(), tuple(four() for _ in range(CALLER_GROUPS)))
            for epoch in range(8)
            for version in ("v1", "v2")
            for keyed in (False, True)
        )

    sources = {f"{draw.getrandbits(64):016x}": Source(draw.random(), counts()) for _ in range(SOURCES)}
    buckets = {signal: (Buckets(draw.getrandbits(BUCKETS), draw.getrandbits(BUCKETS)),) * GROUPS for signal in SIGNALS}
    taken = replace(EvidenceLedger(), epochs={epoch: 0.1 for epoch in range(8)}, sources=sources, buckets=buckets)
    assert len(encoded(keeping.write(Checkpoint(taken=taken)))) < MAX_KEPT
