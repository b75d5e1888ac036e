"""Slots with labels, in a small area: what a reader sees, reuse, exhaustion."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stats.shared_slots import LABEL_BYTES, Area, Slot, Slots, read

CAPACITY = 5
AREA = Area(0, CAPACITY, 2)
OTHER = ("_other",)
OWNERS = [(name,) for name in ("old", "new", "over", *"0123abcdefg")]


class Held(Slot):
    """One word that is in use and one that is counted."""

    __slots__ = ()

    def add(self, held: int, count: int) -> None:
        self._words[0] += held
        self._words[1] += count

    @property
    def idle(self) -> bool:
        return self._words[0] == 0


@pytest.fixture
def memory() -> bytearray:
    return bytearray(AREA.end * 8)


@pytest.fixture
def slots(memory: bytearray) -> Slots[Held]:
    return Slots(memoryview(memory), AREA, Held, OTHER)


def seen(memory: bytearray) -> list[tuple[tuple[str, ...], list[int], bool]]:
    return sorted((reading.key, reading.words, reading.live) for reading in read(memory, AREA))


def test_a_new_slot_reads_as_zeros_under_its_key_and_is_found_again(memory: bytearray, slots: Slots[Held]) -> None:
    slot = slots.get(("a", "é\n\0"))
    assert seen(memory) == [(("a", "é\n\0"), [0, 0], True)]
    slot.add(0, 3)
    assert slots.get(("a", "é\n\0")) is slot
    assert seen(memory) == [(("a", "é\n\0"), [0, 3], True)]


def test_nothing_reads_as_nothing(memory: bytearray, slots: Slots[Held]) -> None:
    assert seen(memory) == []


def test_what_is_retired_and_idle_is_gone_and_writes_nowhere(memory: bytearray, slots: Slots[Held]) -> None:
    old = slots.get(("a",))
    old.add(0, 7)
    slots.retain(OWNERS, lambda key: False)
    assert seen(memory) == []
    new = slots.get(("b",))
    old.add(1, 1)  # a caller that still holds it
    assert seen(memory) == [(("b",), [0, 0], True)]
    new.add(0, 1)
    assert seen(memory) == [(("b",), [0, 1], True)]


def test_what_is_in_flight_is_kept_while_its_key_starts_anew(memory: bytearray, slots: Slots[Held]) -> None:
    old = slots.get(("a",))
    old.add(1, 7)
    slots.retain(OWNERS, lambda key: False)
    assert seen(memory) == [(("a",), [1, 7], False)]
    slots.get(("a",)).add(0, 1)
    assert seen(memory) == [(("a",), [0, 1], True), (("a",), [1, 7], False)]
    old.add(-1, 0)
    slots.retain(OWNERS, lambda key: True)
    assert seen(memory) == [(("a",), [0, 1], True)]


def test_what_does_not_fit_is_counted_together_and_idle_slots_come_back(memory: bytearray, slots: Slots[Held]) -> None:
    filled = [slots.get((str(number),)) for number in range(CAPACITY - 1)]
    over = slots.get(("over",))
    assert slots.get(("too",)) is over
    over.add(0, 2)
    assert (OTHER, [0, 2], True) in seen(memory)
    filled[0].add(1, 0)
    slots.retain(OWNERS, lambda key: key != ("0",))
    assert slots.get(("late",)) is over  # the retired one is still in use
    filled[0].add(-1, 0)
    assert slots.get(("late",)) is not over  # found idle when it was needed
    assert (OTHER, [0, 2], True) in seen(memory)


def test_a_label_too_long_for_its_place_is_counted_with_the_rest(memory: bytearray, slots: Slots[Held]) -> None:
    slots.get(("x" * LABEL_BYTES,)).add(0, 1)
    slots.get(("x" * (LABEL_BYTES - 4),)).add(0, 1)
    assert [reading[0][0][0] for reading in seen(memory)] == ["_", "x"]


def test_what_is_another_owners_stays(memory: bytearray, slots: Slots[Held]) -> None:
    for version in ("v1", "v2"):
        for name in ("a", "b"):
            slots.get(("ns", name, version))
    slots.retain([("ns", "a"), ("ns", "c")], lambda key: key[2] == "v1")
    assert [key for key, _, _ in seen(memory)] == [("ns", "a", "v1"), ("ns", "b", "v1"), ("ns", "b", "v2")]
    slots.retain([("ns", "a")], lambda key: False)
    assert [key for key, _, _ in seen(memory)] == [("ns", "b", "v1"), ("ns", "b", "v2")]


class Interrupted(Area):
    """Lets the writer go on when a reader has copied a slot's values and not yet its label."""

    def __init__(self, go_on: Callable[[], object]) -> None:
        super().__init__(0, CAPACITY, 2)
        self._go_on = go_on

    def label(self, index: int) -> slice:
        self._go_on()
        return super().label(index)


def test_a_reader_never_takes_one_owners_values_for_the_next_ones(memory: bytearray, slots: Slots[Held]) -> None:
    slots.get(("old",)).add(0, 7)

    def replace() -> None:
        slots.retain(OWNERS, lambda key: False)
        slots.get(("new",)).add(0, 1)

    assert list(read(memory, Interrupted(replace))) == []
    assert seen(memory) == [(("new",), [0, 1], True)]


def test_a_slot_that_is_retired_meanwhile_is_still_read(memory: bytearray, slots: Slots[Held]) -> None:
    slots.get(("old",)).add(1, 7)
    readings = list(read(memory, Interrupted(lambda: slots.retain(OWNERS, lambda key: False))))
    assert [tuple(reading) for reading in readings] == [(("old",), [1, 7], True)]


KEYS = st.sampled_from([(name,) for name in "abcdefg"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.integers(0, 1)),
        st.tuples(st.just("release"), KEYS),
        st.tuples(st.just("retain"), st.frozensets(KEYS)),
    ),
    max_size=60,
)


@given(STEPS)
def test_equals_a_plain_model(steps: list[tuple[Any, ...]]) -> None:
    memory = bytearray(AREA.end * 8)
    slots = Slots(memoryview(memory), AREA, Held, OTHER)
    live: dict[tuple[str, ...], list[int]] = {}
    retired: list[tuple[tuple[str, ...], list[int]]] = []
    held: list[tuple[tuple[str, ...], Held, list[int]]] = []
    for kind, argument, *amount in steps:
        if kind == "add":
            in_use = sum(key != OTHER for key in live) + sum(words[0] > 0 for _, words in retired)
            words = live.setdefault(OTHER if argument not in live and in_use == CAPACITY - 1 else argument, [0, 0])
            slot = slots.get(argument)
            slot.add(amount[0], 1)
            words[0] += amount[0]
            words[1] += 1
            held += [(argument, slot, words)] * amount[0]
        elif kind == "release":
            for _, slot, words in [one for one in held if one[0] == argument]:
                slot.add(-1, 0)
                words[0] -= 1
            held = [one for one in held if one[0] != argument]
        else:
            slots.retain(OWNERS, argument.__contains__)
            retired += [(key, live.pop(key)) for key in list(live) if key not in argument and key != OTHER]
        expected = [(key, words, True) for key, words in live.items()]
        expected += [(key, words, False) for key, words in retired if words[0]]
        assert [reading for reading in seen(memory) if reading[2] or reading[1][0]] == sorted(expected)
