"""What is kept between two looks: whole, bounded, and of another release no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployer.rollout.analysis.buckets import Buckets
from deployer.rollout.analysis.evidence import EPOCHS, SOURCES, EvidenceLedger, Source
from deployer.rollout.analysis.metric_looks import MetricLooks
from deployer.rollout.analysis.reading import GROUPS, Count
from deployer.rollout.checkpoint import HISTORY, Checkpoint, Failures, Record, read, write
from deployer.rollout.state import Action
from gateway.contract.evidence import BUCKETS, SIGNALS
from tests.fakes.rollout import RolloutHarness, declared

RECORD = Record(1, "v1", "v2", "rolled back", "errors: 5 %", 10.0, 20.5, ("errors: 5 %",))


def full() -> Checkpoint:
    """As large as it gets: with sticky keys, of which half are bad, and many gateways in many steps."""
    bits = (1 << BUCKETS) - 1
    counts = tuple(
        Count(version, epoch, keyed, 10**9, 10**6, 10**6, 10**6)
        for version in ("v1", "v2")
        for epoch in range(4)
        for keyed in (False, True)
    )
    world = RolloutHarness(declared(traffic={"sticky": {"cookie": "User"}}))
    world.until_weight(25)
    world.ask(Action.PAUSE)
    world.look()
    return replace(
        world.known,
        taken=EvidenceLedger(
            after=3,
            epochs={epoch: epoch / 100 for epoch in range(EPOCHS)},
            sources={f"{index:016x}": Source(1.5e9, counts, (2, 3)) for index in range(SOURCES)},
            buckets={signal: (Buckets(bits, bits - 1),) * GROUPS for signal in SIGNALS},
            met=(bits,) * GROUPS,
            steady=7,
            dropped=11,
        ),
        failures=Failures(3, 2),
        metrics={f"revenue{index} 01234567": MetricLooks().after(True, 1.5e9) for index in range(8)},
        history=(RECORD,) * HISTORY,
        outdated="…",
    )


def test_what_is_written_is_read_again() -> None:
    checkpoint = full()
    assert checkpoint.rollout is not None
    assert checkpoint.rollout.evidence[0].canary_requests > 0
    assert checkpoint.rollout.judgement is not None
    assert read(write(checkpoint)) == checkpoint
    assert read(write(Checkpoint())) == Checkpoint()


def test_it_stays_well_below_what_an_object_may_have() -> None:
    """etcd takes 1.5 MB."""
    assert len(write(full())) < 400_000


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '"text"', '{"rollout": 3}', '{"rollout": {"phase": "flying"}}', '{"history": [{}]}'],
)
def test_what_nobody_can_read_is_told_to_be_lost(text: str) -> None:
    assert read(text) == Checkpoint(lost=True)


def test_what_a_newer_release_adds_is_passed_over() -> None:
    text = '{"stable": "v1", "declared_stable": "v1", "moon": "full"}'
    assert read(text) == Checkpoint(stable="v1", declared_stable="v1")


def test_what_was_written_under_the_names_of_before_is_read() -> None:
    checkpoint = Checkpoint(
        stable="v2", declared_stable="v1", taken=EvidenceLedger(sources={"a": Source(last_read=1_000.0)})
    )
    text = write(checkpoint).replace('"declared_stable":', '"said":').replace('"last_read":', '"heard":')
    assert '"said":"v1"' in text
    assert '"heard":1000.0' in text
    assert read(text) == checkpoint


def test_the_newest_records_are_kept() -> None:
    checkpoint = Checkpoint()
    for number in range(HISTORY + 3):
        checkpoint = replace(checkpoint, history=checkpoint.recorded(replace(RECORD, number=number)))
    assert [record.number for record in checkpoint.history] == list(range(3, HISTORY + 3))
