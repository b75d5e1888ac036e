"""What of the sources' counts is new, and to which share it belongs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.rollout.analysis import evidence
from deployer.rollout.analysis.evidence import GONE, SOURCES, Comparison, EvidenceLedger, taken
from deployer.rollout.analysis.products import Look
from deployer.rollout.analysis.reading import Count, Reading

ARMS = Comparison("v1", "v2", "vision/digits v1 v2 1", steady=None)
NOW = 1000.0


def known(**epochs: float) -> EvidenceLedger:
    """Of a rollout that began in epoch 1."""
    made = EvidenceLedger(after=1)
    for epoch, share in epochs.items():
        made = made.knowing(int(epoch[1:]), share)
    return made


def count(version: str, requests: int, errors: int = 0, *, epoch: int = 2, keyed: bool = False) -> Count:
    return Count(version, epoch, keyed, requests, errors, 0, 0)


def reading(*counts: Count, source: str = "a", epoch: int = 2, **more: object) -> Reading:
    return replace(Reading(source, epoch, counts), **more)  # type: ignore[arg-type]


def look(
    before: EvidenceLedger, *readings: Reading, now: float = NOW, arms: Comparison = ARMS
) -> tuple[EvidenceLedger, list[Look]]:
    after, looks = taken(before, arms, readings, now)
    return after, looks["errors"]


def sums(looks: list[Look]) -> tuple[int, int, int, int]:
    return (
        sum(one.canary_requests for one in looks),
        sum(one.canary_bad for one in looks),
        sum(one.stable_requests for one in looks),
        sum(one.stable_bad for one in looks),
    )


def test_what_is_new_since_the_last_look_is_looked_at() -> None:
    first, looks = look(known(e2=0.05), reading(count("v2", 10, 1), count("v1", 190, 2)))
    assert looks == [Look(0.05, 10, 1, 190, 2)]
    _, looks = look(first, reading(count("v2", 15, 1), count("v1", 290, 5)))
    assert looks == [Look(0.05, 5, 0, 100, 3)]


def test_each_signal_has_looks_of_its_own() -> None:
    _, looks = taken(known(e2=0.05), ARMS, [reading(Count("v2", 2, False, 10, 1, 2, 3))], NOW)
    assert {signal: [one.canary_bad for one in found] for signal, found in looks.items()} == {
        "errors": [1],
        "slow": [2],
        "rejections": [3],
    }


def test_a_reading_that_comes_twice_brings_nothing() -> None:
    report = reading(count("v2", 10, 1))
    after, looks = look(known(e2=0.05), report, report)
    assert sums(looks) == (10, 1, 0, 0)
    again, looks = look(after, report)
    assert looks == []
    assert again == after


def test_sources_are_added_up() -> None:
    _, looks = look(known(e2=0.05), reading(count("v2", 10, 1)), reading(count("v2", 20, 2), source="b"))
    assert sums(looks) == (30, 3, 0, 0)


def test_a_gateway_that_starts_again_has_another_name_and_counts_anew() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10)))
    _, looks = look(after, reading(count("v2", 7, 3), source="a again"))
    assert sums(looks) == (7, 3, 0, 0)


def test_counters_that_go_back_under_the_same_name_are_not_believed_until_they_are_past_what_was_taken() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10), count("v1", 900, 9)))
    for canary, stable in (((5, 4), (50, 1)), ((150, 11), (600, 8)), ((200, 20), (1000, 10))):
        after, looks = look(after, reading(count("v2", *canary), count("v1", *stable)))
        assert looks == []  # also the last: how much of it had come before can't be known
    _, looks = look(after, reading(count("v2", 210, 21), count("v1", 1100, 12)))
    assert sums(looks) == (10, 1, 100, 2)


def test_counters_that_went_back_are_believed_in_the_next_epoch_at_once() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10)))
    after, _ = look(after, reading(count("v2", 5, 4)))
    _, looks = look(after.knowing(3, 0.25), reading(count("v2", 6, 4), count("v2", 30, 3, epoch=3)))
    assert looks == [Look(0.25, 30, 3, 0, 0)]


def test_a_counter_that_is_missing_where_there_was_one_is_a_reset() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10), count("v1", 900, 9)))
    after, looks = look(after, reading(count("v1", 950, 10)))
    assert looks == []
    _, looks = look(after, reading(count("v2", 100, 10), count("v1", 960, 10)))
    assert looks == []


def test_readings_out_of_order_bring_no_event_twice() -> None:
    early, late = reading(count("v2", 10, 1)), reading(count("v2", 20, 2))
    after, looks = look(known(e2=0.05), late, early)
    assert sums(looks) == (20, 2, 0, 0)
    after, looks = look(after, late)
    assert looks == []
    _, looks = look(after, reading(count("v2", 25, 3)))
    assert sums(looks) == (5, 1, 0, 0)


def test_a_source_that_vanishes_and_comes_back_goes_on_where_it_was() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 10, 1)))
    after, looks = look(after, reading(count("v2", 5, 0), source="b"))
    assert sums(looks) == (5, 0, 0, 0)
    _, looks = look(after, reading(count("v2", 40, 2)), reading(count("v2", 5, 0), source="b"))
    assert sums(looks) == (30, 1, 0, 0)


def test_a_source_that_was_forgotten_brings_only_what_it_counts_from_its_return_on() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10)))
    after, _ = look(after, reading(count("v2", 1), source="b"), now=NOW + GONE + 1)
    assert set(after.sources) == {"b"}
    after, looks = look(after, reading(count("v2", 100, 10)), now=NOW + GONE + 2)
    assert looks == []
    _, looks = look(after, reading(count("v2", 110, 12)), now=NOW + GONE + 3)
    assert sums(looks) == (10, 2, 0, 0)


def test_of_too_many_sources_those_heard_last_are_kept_and_none_is_taken_twice() -> None:
    many = [reading(count("v2", 1), source=f"old {index}") for index in range(SOURCES)]
    after, _ = look(known(e2=0.05), *many)
    after, looks = look(after, reading(count("v2", 1), source="new"), now=NOW + 400)
    assert sums(looks) == (1, 0, 0, 0)
    assert len(after.sources) == SOURCES
    assert "new" in after.sources
    _, looks = look(after, *many, now=NOW + 401)
    assert looks == []


def test_late_counts_belong_to_the_share_under_which_they_were_assigned() -> None:
    """Counted to the new weight instead, what lags by 5 s gives 77 % and more of false roll backs."""
    after, _ = look(known(e2=0.05, e3=0.5), reading(count("v2", 50), count("v1", 950)))
    _, looks = look(after, reading(count("v2", 60, 5), count("v1", 1140, 9), count("v2", 100, 1, epoch=3), epoch=3))
    assert looks == [Look(0.05, 10, 5, 190, 9), Look(0.5, 100, 1, 0, 0)]


def test_an_event_may_come_after_its_request_was_counted() -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 10)))
    _, looks = look(after, reading(count("v2", 10, 3)))
    assert looks == [Look(0.05, 0, 3, 0, 0)]


def test_epochs_of_before_the_rollout_are_none_of_its_evidence() -> None:
    after, looks = look(known(e2=0.05), reading(count("v2", 500, 50, epoch=1), count("v2", 10, epoch=2)))
    assert sums(looks) == (10, 0, 0, 0)
    assert after.dropped == 0


def test_an_epoch_without_a_share_is_dropped_and_counted_once() -> None:
    report = reading(count("v2", 40, 4, epoch=3), epoch=4)
    after, looks = look(known(e2=0.05, e4=0.25), report)
    assert looks == []
    assert after.dropped == 40
    assert look(after, report)[0].dropped == 40


def test_an_epoch_that_is_not_known_yet_waits_until_it_is() -> None:
    report = reading(count("v2", 40, 4, epoch=3), epoch=3)
    after, looks = look(known(e2=0.05), report)
    assert looks == []
    after, looks = look(after.knowing(3, 0.25), report)
    assert looks == [Look(0.25, 40, 4, 0, 0)]
    assert after.dropped == 0


def test_of_too_many_epochs_the_oldest_are_over() -> None:
    made, _ = look(known(e2=0.02), reading(count("v2", 40, 4)))
    for epoch in range(3, 3 + evidence.EPOCHS):
        made = made.knowing(epoch, epoch / 100)
    assert len(made.epochs) == evidence.EPOCHS
    after, looks = look(made, reading(count("v2", 50, 4, epoch=2), count("v2", 10, 1, epoch=3)))
    assert sums(looks) == (10, 1, 0, 0)
    assert made.knowing(2, 0.5) == made
    assert [count.epoch for count in after.sources["a"].counts] == [3]


def test_other_versions_are_no_evidence() -> None:
    assert look(known(e2=0.05), reading(count("v3", 40, 4)))[1] == []


@pytest.mark.parametrize("jump", [-1e6, 1e5])
def test_a_clock_that_jumps_brings_no_event_twice(jump: float) -> None:
    after, _ = look(known(e2=0.05), reading(count("v2", 100, 10)))
    after, looks = look(after, reading(count("v2", 101, 10)), now=NOW + jump)
    after, more = look(after, reading(count("v2", 102, 11)), now=NOW + jump + 1)
    assert sums(looks + more) == (2, 1, 0, 0)


def test_silence_changes_nothing_that_is_kept() -> None:
    report = reading(count("v2", 10, 1))
    after, _ = look(known(e2=0.05), report)
    assert look(after, report, now=NOW + 60)[0] == after
    assert look(after, now=NOW + 60)[0] == after


def keyed(source: str = "a", salt: str = ARMS.salt, epoch: int = 2, **bits: dict[str, int]) -> Reading:
    """By signal, the buckets of each version."""
    versions = {version for of in bits.values() for version in of}
    buckets = {version: {signal: of[version] for signal, of in bits.items() if version in of} for version in versions}
    return Reading(source, epoch, (), salt, buckets)


def fresh(looks: list[Look]) -> list[tuple[int, int, int]]:
    return [(one.fresh.canary, one.fresh.stable, one.fresh.met) for one in looks if one.fresh is not None]


STEADY = replace(ARMS, steady=2)


def test_a_bucket_counts_once_whoever_tells_it_and_how_often() -> None:
    report = keyed(errors={"v2": 0b110, "v1": 0b1000})
    after, looks = look(known(e2=0.05), report, keyed(source="b", errors={"v2": 0b011}), arms=STEADY)
    assert fresh(looks) == [(3, 1, 0)]
    after, looks = look(after, report, arms=STEADY)
    assert looks == []
    _, looks = look(after, keyed(source="a again", errors={"v2": 0b11110}), arms=STEADY)
    assert fresh(looks) == [(1, 0, 0)]  # of the two new ones, one was stable's before


def test_the_buckets_that_the_canary_met_are_told_to_each_signal() -> None:
    report = keyed(requests={"v2": 0b111, "v1": 0b111000}, errors={"v2": 0b1})
    after, looks = taken(known(e2=0.05), STEADY, [report], NOW)
    assert {signal: fresh(found) for signal, found in looks.items()} == {
        "errors": [(1, 0, 3)],
        "slow": [(0, 0, 3)],
        "rejections": [(0, 0, 3)],
    }
    assert taken(after, STEADY, [report], NOW)[1] == {signal: [] for signal in looks}


def test_buckets_under_another_salt_are_of_another_rollout() -> None:
    assert look(known(e2=0.05), keyed(salt="vision/digits v1 v2 0", errors={"v2": 1}), arms=STEADY)[1] == []


def test_requests_with_a_key_and_without_are_two_strata() -> None:
    _, looks = look(
        known(e2=0.05),
        replace(keyed(errors={"v2": 0b1}), counts=(count("v2", 10, 4, keyed=True), count("v2", 30, 2))),
        arms=STEADY,
    )
    assert [(one.canary_requests, one.canary_bad, one.fresh is None) for one in looks] == [
        (30, 2, True),
        (10, 4, False),
        (0, 0, False),
    ]
    assert fresh(looks) == [(0, 0, 0), (1, 0, 0)]


def test_buckets_of_a_change_of_weight_may_be_of_either_share() -> None:
    first, _ = look(known(e2=0.05), keyed(errors={"v2": 0b1}), arms=STEADY)
    second, looks = look(first, keyed(errors={"v2": 0b11}), arms=STEADY)
    assert [(one.least, one.share) for one in looks] == [(0.05, 0.05)]
    under_way = second.knowing(3, 0.25)
    third, looks = look(under_way, keyed(errors={"v2": 0b111}), arms=replace(ARMS, steady=None))
    assert [(one.least, one.share) for one in looks] == [(0.05, 0.25)]
    fourth, looks = look(third, keyed(errors={"v2": 0b1111}, epoch=3), arms=replace(ARMS, steady=3))
    assert [(one.least, one.share) for one in looks] == [(0.05, 0.25)]
    fifth, looks = look(fourth, keyed(errors={"v2": 0b11111}, epoch=3), arms=replace(ARMS, steady=3))
    assert [(one.least, one.share) for one in looks] == [(0.25, 0.25)]
    _, looks = look(fifth.knowing(4, 0.5), keyed(errors={"v2": 0b111111}, epoch=3), arms=replace(ARMS, steady=None))
    assert [(one.least, one.share) for one in looks] == [(0.25, 0.5)]


@dataclass
class _Truth:
    """A gateway: what has happened so far at each, by version and epoch, and all that it ever said."""

    counts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    answers: list[tuple[Count, ...]] = field(default_factory=list)

    def now(self) -> tuple[Count, ...]:
        return tuple(count(version, *pair, epoch=epoch) for (version, epoch), pair in self.counts.items())


_STEP = st.one_of(
    st.tuples(
        st.sampled_from(("serve", "serve and read")),
        st.sampled_from(("v2", "v1")),
        st.sampled_from((2, 2, 3, 4)),
        st.integers(0, 50),
        st.integers(0, 5),
    ),
    st.tuples(st.just("read again"), st.integers(0, 30)),
    st.tuples(st.just("read")),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from((1.0, 400.0, GONE + 1))),
    st.tuples(st.just("crash")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), _STEP), min_size=10, max_size=60))
def test_whatever_is_lost_or_read_twice_no_event_is_taken_twice(steps: list[tuple[int, tuple[object, ...]]]) -> None:
    """Gateways serve, start again (with another name or, against the rule, under the same), are read, also by what they
    said long ago, or fall silent; and the deployer dies before it has kept a look. Epoch 4 has no share."""
    before = replace(known(e2=0.05, e3=0.5), epochs={2: 0.05, 3: 0.5, 5: 0.9})
    gateways, names = [_Truth(), _Truth()], ["a", "b"]
    truth = [0, 0, 0, 0, 0]
    total = [0, 0, 0, 0]
    now = NOW
    for index, (what, *detail) in steps:
        gateway, answer = gateways[index], None
        match what:
            case "serve" | "serve and read":
                version, epoch, requests, bad = detail
                assert isinstance(version, str)
                assert isinstance(epoch, int)
                assert isinstance(requests, int)
                assert isinstance(bad, int)
                old = gateway.counts.get((version, epoch), (0, 0))
                gateway.counts[version, epoch] = (old[0] + requests, old[1] + bad)
                if epoch == 4:
                    truth[4] += requests
                else:
                    at = 0 if version == "v2" else 2
                    truth[at], truth[at + 1] = truth[at] + requests, truth[at + 1] + bad
            case "restart":
                gateway.counts = {}
                if detail[0]:
                    names[index] += "'"
                if detail[0] or now - NOW > GONE:  # where all is forgotten, nobody can know that it went back
                    gateway.answers = []
            case "wait":
                assert isinstance(detail[0], float)
                now += detail[0]
                if now - NOW > GONE:  # what was on its way for so long is never read
                    gateways[0].answers, gateways[1].answers = [], []
            case "read again" if gateway.answers:
                assert isinstance(detail[0], int)
                answer = gateway.answers[detail[0] % len(gateway.answers)]
        if what in ("serve and read", "read", "crash"):
            answer = gateway.now()
            gateway.answers.append(answer)
        if answer is not None:
            after, looks = look(before, reading(*answer, source=names[index]), now=now)
            assert min(sums(looks)) >= 0
            if what != "crash":
                before = after
                total = [old + new for old, new in zip(total, sums(looks), strict=True)]
        assert all(there <= true for there, true in zip([*total, before.dropped], truth, strict=True))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 30), st.integers(0, 3)), max_size=40))
def test_what_sources_say_in_order_is_taken_whole(served: list[tuple[str, int, int]]) -> None:
    before, so_far, total = known(e2=0.05), {"a": (0, 0), "b": (0, 0)}, (0, 0)
    for source, requests, bad in served:
        so_far[source] = (so_far[source][0] + requests, so_far[source][1] + bad)
        before, looks = look(before, reading(count("v2", *so_far[source]), source=source))
        total = (total[0] + sums(looks)[0], total[1] + sums(looks)[1])
    assert total == (sum(pair[0] for pair in so_far.values()), sum(pair[1] for pair in so_far.values()))
