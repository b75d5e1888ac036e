"""The sums of evidence over workers that live and die, and how they are told."""

from __future__ import annotations

import base64
import gc
import mmap
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.evidence import BUCKETS, CALLER_GROUPS, SIGNALS, Count, DeploymentEvidence
from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Sticky
from gateway.stats import counters, evidence_slots, evidence_totals, totals
from gateway.stats.counters import Counters
from gateway.stats.evidence_slots import COUNTS, ERRORS, REJECTIONS, SLOW
from gateway.stats.evidence_totals import EvidenceCounts, EvidenceTotals
from tests.fakes.gateway import deployment

SALT = "default/m v1 v2 1"


def digits(name: str = "m", **values: Any) -> Deployment:
    fields = {"weight": 5, "epoch": 7, "salt": SALT, "sticky": Sticky(header="x-user")}
    return deployment(name, {"v1": [], "v2": []}, **fields | values)


def table(*deployments: Deployment) -> RouteTable:
    return RouteTable(revision=1, deployments=deployments)


def key(version: str, epoch: int = 7, keyed: bool = False) -> tuple[str, ...]:
    return ("default", "m", version, str(epoch), "true" if keyed else "false")


class Worker:
    """One that routes by a table with this deployment alone."""

    def __init__(self, routed: Deployment) -> None:
        self.memory = mmap.mmap(-1, counters.SIZE)
        self.counters = Counters(self.memory)
        self.deployment = routed

    def count(self, version: str, *signals: int, bucket: int | None = None, group: int = 0) -> None:
        slot, bitmap = self.counters.evidence.of(self.deployment).arms[version, bucket is not None]
        slot.counted(group)
        if bitmap is not None and bucket is not None:
            bitmap.counted(group, bucket)
        for signal in signals:
            slot.bad(signal, group)
            if bitmap is not None and bucket is not None:
                bitmap.bad(signal, group, bucket)

    def swap(self, routed: Deployment) -> None:
        before, self.deployment = self.deployment, routed
        self.counters.retain(table(routed), [before])

    @property
    def sums(self) -> EvidenceCounts:
        return evidence_totals.read(self.memory)


def row(*first: int) -> list[int]:
    """Of a group of callers that has these, and of all others, who have nothing."""
    return [*first, *[0] * (CALLER_GROUPS * COUNTS - len(first))]


@pytest.fixture
def total() -> EvidenceTotals:
    total = EvidenceTotals()
    total.follow(table(digits()))
    return total


def test_workers_are_summed_and_their_buckets_united(total: EvidenceTotals) -> None:
    first, second = Worker(digits()), Worker(digits())
    first.count("v2", ERRORS, SLOW, bucket=1)
    second.count("v2", ERRORS, bucket=1)
    second.count("v2", ERRORS, bucket=9_999)
    second.count("v1", REJECTIONS)
    sums = total.sum([first.sums, second.sums])
    assert sums.counts[key("v2", keyed=True)] == row(3, 3, 1, 0)
    assert sums.counts[key("v1")] == row(1, 0, 0, 1)
    assert sums.buckets["default", "m", "v2", SALT] == row(1 << 1 | 1 << 9_999, 1 << 1 | 1 << 9_999, 1 << 1, 0)


def test_a_death_loses_nothing_and_counts_nothing_twice(total: EvidenceTotals) -> None:
    first, second = Worker(digits()), Worker(digits())
    first.count("v2", ERRORS, bucket=3)
    second.count("v2", SLOW, bucket=4)
    before = total.sum([first.sums, second.sums])
    total.fold(first.sums)
    assert total.sum([second.sums]) == before
    assert total.sum([second.sums]) == before
    third = Worker(digits())
    third.count("v2", bucket=5)
    total.fold(second.sums)
    assert total.sum([third.sums]).counts[key("v2", keyed=True)] == row(3, 1, 1, 0)


def test_epochs_are_forgotten_by_the_number_of_changes_since(total: EvidenceTotals) -> None:
    dead = Worker(digits())
    dead.count("v2", ERRORS)
    total.fold(dead.sums)
    last = 7 + evidence_slots.EPOCHS_KEPT - 1
    total.follow(table(digits(epoch=last)))
    assert total.sum([]).counts[key("v2")] == row(1, 1, 0, 0)
    assert total.sum([dead.sums]).counts[key("v2")] == row(2, 2, 0, 0)
    total.follow(table(digits(epoch=last + 1)))
    assert total.sum([]).counts == total.sum([dead.sums]).counts == {}
    total.follow(table(digits()))
    assert total.sum([]).counts == {}


def test_what_comes_after_the_newest_table_is_of_another_life(total: EvidenceTotals) -> None:
    """A deployment that was taken away and made anew begins at epoch 0 again."""
    worker = Worker(digits())
    worker.count("v2")
    total.follow(table(digits(epoch=0)))
    total.fold(worker.sums)
    assert total.sum([worker.sums]).counts == {}
    worker.swap(digits(epoch=0))
    assert worker.sums.counts == {}


def test_buckets_are_of_the_present_rollout(total: EvidenceTotals) -> None:
    worker = Worker(digits())
    worker.count("v2", ERRORS, bucket=3)
    total.fold(worker.sums)
    total.follow(table(digits(salt="next", epoch=8)))
    assert total.sum([worker.sums]).buckets == {}
    worker.swap(digits(salt="next", epoch=8))
    worker.count("v2", ERRORS, bucket=4)
    total.follow(table(digits(salt="next", epoch=8)))
    assert total.sum([worker.sums]).buckets["default", "m", "v2", "next"] == row(1 << 4, 1 << 4, 0, 0)


def test_another_deployments_evidence_is_left_alone() -> None:
    other = digits(name="other")
    worker = Worker(digits())
    worker.counters.evidence.of(other).arms["v1", False].slot.counted(0)
    worker.counters.retain(table(other, digits(epoch=99)), [digits()])
    assert worker.sums.counts["default", "other", "v1", "7", "false"] == row(1, 0, 0, 0)


def test_deployments_are_told_with_their_epoch() -> None:
    worker = Worker(digits())
    worker.count("v2", ERRORS, REJECTIONS, bucket=10, group=3)
    reports = evidence_totals.reports(
        worker.sums, [(digits(), 6), (digits(name="idle", salt="", canary=None, weight=0), 1)]
    )
    assert reports["default/idle"] == DeploymentEvidence(epoch=1, counts=())
    report = reports["default/m"]
    assert (report.epoch, report.salt) == (6, SALT)
    of_group = ((0, 0, 0, 0),) * 3 + ((1, 1, 0, 1),) + ((0, 0, 0, 0),) * 4
    assert sorted(report.counts, key=lambda count: (count.version, count.keyed)) == [
        Count(version="v1", epoch=7, keyed=False, requests=0, errors=0, slow=0, rejections=0),
        Count(version="v1", epoch=7, keyed=True, requests=0, errors=0, slow=0, rejections=0),
        Count(version="v2", epoch=7, keyed=False, requests=0, errors=0, slow=0, rejections=0),
        Count(version="v2", epoch=7, keyed=True, requests=1, errors=1, slow=0, rejections=1, callers=of_group),
    ]
    bitmaps = {signal: base64.b64decode(text) for signal, text in report.buckets["v2"].items()}
    assert set(bitmaps) == {"requests", *SIGNALS}
    assert all(len(bits) == 1250 for bits in bitmaps.values())
    assert int.from_bytes(bitmaps["errors"], "little") == 1 << 10
    assert not any(bitmaps["slow"])
    assert not any(base64.b64decode(report.buckets["v1"]["errors"]))
    assert report.callers["v2"] == {
        signal: ("", "", "", "" if signal == "slow" else report.buckets["v2"][signal], "", "", "", "")
        for signal in ("requests", *SIGNALS)
    }


@given(st.sets(st.tuples(st.sampled_from((ERRORS, SLOW, REJECTIONS)), st.integers(0, BUCKETS - 1)), max_size=50))
def test_bitmaps_hold_exactly_what_was_marked(marks: set[tuple[int, int]]) -> None:
    worker = Worker(digits())
    worker.count("v1", bucket=0)
    for signal, bucket in marks:
        worker.count("v2", signal, bucket=bucket)
    expected = [0, 0, 0, 0]
    for signal, bucket in marks:
        expected[0] |= 1 << bucket
        expected[1 + signal] |= 1 << bucket
    rows = worker.sums.buckets
    assert rows["default", "m", "v2", SALT] == row(*expected)
    assert rows["default", "m", "v1", SALT] == row(1, 0, 0, 0)


def test_callers_are_in_one_group_each_and_in_another_company_in_the_next_rollout() -> None:
    """Whoever was with a loud one is not again."""
    callers = [f"10.0.{high}.{low}" for high in range(8) for low in range(250)]
    slots = Worker(digits()).counters.evidence
    first, same, next_one = (
        slots.of(digits(salt=salt, epoch=epoch)) for salt, epoch in ((SALT, 7), (SALT, 8), ("b", 9))
    )
    groups = [first.group(caller) for caller in callers]
    assert groups == [same.group(caller) for caller in callers]
    sizes = [groups.count(group) for group in range(CALLER_GROUPS)]
    assert min(sizes) > 2000 / CALLER_GROUPS * 0.8
    together = [next_one.group(caller) for caller, group in zip(callers, groups, strict=True) if group == 0]
    assert max(together.count(group) for group in range(CALLER_GROUPS)) < len(together) / 2


def test_full_areas_are_apart() -> None:
    memory = bytearray(counters.SIZE)
    made = Counters(memory)
    made.refusal("d", "r").refused()
    made.request("n", "d", "v", "x", "split").retried(0)
    made.endpoint("n", "d", "v", Endpoint(host="h", rest=1, grpc=1)).sent()
    before = totals.read(memory, 0)
    for number in range(counters.EVIDENCE.capacity // 4 + 1):
        for slot, bitmap in made.evidence.of(digits(name=str(number))).arms.values():
            slot.counted(0)
            if bitmap is not None:
                bitmap.bad(REJECTIONS, 0, BUCKETS - 1)
    assert totals.read(memory, 0) == before
    sums = evidence_totals.read(memory)
    bits = 1 << BUCKETS - 1
    assert len(sums.buckets) == counters.BITMAPS.capacity
    assert all(one in (row(0, 0, 0, bits), row()) for one in sums.buckets.values())
    assert sum(one[0] for one in sums.counts.values()) == counters.EVIDENCE.capacity + 4


def test_a_deployment_that_has_gone_is_held_no_longer() -> None:
    worker = Worker(digits())
    worker.count("v1")
    gone = weakref.ref(worker.deployment)
    worker.swap(digits())
    gc.collect()
    assert gone() is None


def test_evidence_of_deployments_that_were_not_asked_about_is_left_out() -> None:
    worker = Worker(digits())
    worker.count("v2", ERRORS, bucket=10)
    reports = evidence_totals.reports(worker.sums, [(digits(name="other"), 1)])
    assert reports == {"default/other": DeploymentEvidence(epoch=1, counts=(), salt=SALT, buckets={})}


def test_a_deployment_without_sticky_keys_has_no_buckets() -> None:
    worker = Worker(digits(sticky=None, salt=""))
    assert worker.counters.evidence.of(worker.deployment).arms.keys() == {("v1", False), ("v2", False)}
    worker.count("v2", SLOW)
    assert worker.sums.counts[key("v2")] == row(1, 0, 1, 0)
    assert worker.sums.buckets == {}
