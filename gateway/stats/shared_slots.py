"""Slots of 64-bit integers with labels, in memory that one process writes and another reads meanwhile.

An area is the number of slots ever used, the slots, and their labels. A slot is published by its state, written last:
a reader never sees half a label, nor one owner's values under the next one's label.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

Key = tuple[str, ...]


def owner(key: Key) -> Key:
    """Namespace and name of the deployment that a key belongs to, if it does."""
    return key[:2]


FREE, LIVE, RETIRED = range(3)
"""A slot's state, in the two low bits of its first word; the rest is its generation, which rises as it is freed."""

GENERATION: Final = 4

LABEL_BYTES: Final = 512
WORD: Final = 8


class Area:
    """Where the slots of one kind lie, in words from the start."""

    def __init__(self, start: int, capacity: int, words: int) -> None:
        self.used = start
        self.first = start + 1
        self.capacity = capacity
        self.stride = 1 + words
        self.labels = (self.first + capacity * self.stride) * WORD  # in bytes
        self.end = self.first + capacity * self.stride + capacity * LABEL_BYTES // WORD

    def at(self, index: int) -> int:
        return self.first + index * self.stride

    def label(self, index: int) -> slice:
        start = self.labels + index * LABEL_BYTES
        return slice(start, start + LABEL_BYTES)


class Slot:
    """A slot's words as its owner sees them. After it was freed it writes to nowhere, whoever still holds it."""

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        self._words = words

    @property
    def idle(self) -> bool:
        raise NotImplementedError

    def detach(self) -> None:
        self._words = memoryview(bytearray(len(self._words) * WORD)).cast("q")


S = TypeVar("S", bound=Slot)


class Slots(Generic[S]):
    """The slots of one area, by their labels."""

    def __init__(self, buffer: memoryview, area: Area, make: Callable[[memoryview], S], other: Key) -> None:
        self._bytes = buffer.cast("B")
        self._words = buffer.cast("B").cast("q")
        self._area = area
        self._make = make
        self._other_key = other
        self._other: S | None = None
        self._by_key: dict[Key, tuple[int, S]] = {}
        self._by_owner: dict[Key, set[Key]] = {}
        self._retired: list[tuple[int, S]] = []
        self._free: list[int] = []
        self._words[area.used] = 1  # slot 0 is kept for `other`

    def get(self, key: Key) -> S:
        found = self._by_key.get(key)
        if found is not None:
            return found[1]
        label = json.dumps(key, ensure_ascii=False).encode()
        index = self._take() if len(label) <= LABEL_BYTES else None
        if index is None:
            return self.other
        slot = self._publish(index, label)
        self._by_key[key] = (index, slot)
        self._by_owner.setdefault(owner(key), set()).add(key)
        return slot

    @property
    def other(self) -> S:
        """Where all goes that has no slot of its own."""
        if self._other is None:
            self._other = self._publish(0, json.dumps(self._other_key).encode())
        return self._other

    def owned(self, slot: S) -> bool:
        """Whether it is one key's own."""
        return slot is not self._other

    def retain(self, owners: Iterable[Key], keep: Callable[[Key], bool]) -> None:
        """Retire these owners' others: their keys start anew, what is in flight in them is still counted, then they
        are free. What is another owner's costs nothing."""
        for key in [key for one in owners for key in self._by_owner.get(one, ()) if not keep(key)]:
            keys = self._by_owner[owner(key)]
            keys.remove(key)
            if not keys:
                del self._by_owner[owner(key)]
            index, slot = self._by_key.pop(key)
            self._words[self._area.at(index)] += RETIRED - LIVE
            self._retired.append((index, slot))
        self._sweep()

    def _sweep(self) -> None:
        retired, self._retired = self._retired, []
        for index, slot in retired:
            if not slot.idle:
                self._retired.append((index, slot))
                continue
            slot.detach()
            self._words[self._area.at(index)] += GENERATION + FREE - RETIRED
            self._free.append(index)

    def _take(self) -> int | None:
        if not self._free and self._words[self._area.used] == self._area.capacity:
            self._sweep()
        if self._free:
            return self._free.pop()
        index = self._words[self._area.used]
        return index if index < self._area.capacity else None

    def _publish(self, index: int, label: bytes) -> S:
        """Values and label first; the state that makes them readable, and the count that makes it looked at, last."""
        at = self._area.at(index)
        words = self._words[at + 1 : at + self._area.stride]
        words.cast("B")[:] = bytes(words.nbytes)
        self._bytes[self._area.label(index)] = label.ljust(LABEL_BYTES, b"\0")
        slot = self._make(words)
        self._words[at] += LIVE - FREE
        self._words[self._area.used] = max(self._words[self._area.used], index + 1)
        return slot


class Reading(NamedTuple):
    key: Key
    words: list[int]
    live: bool
    """Not retired: it still stands for its key."""


def read(buffer: mmap.mmap | bytearray, area: Area) -> Iterator[Reading]:
    """The slots in use, as they are now. Each word is whole; words of one slot may be an event apart."""
    memory = memoryview(buffer)
    words = memory.cast("B").cast("q")
    for index in range(words[area.used]):
        at = area.at(index)
        state = words[at]
        if state % GENERATION == FREE:
            continue
        values = words[at + 1 : at + area.stride].tolist()
        label = bytes(memory[area.label(index)])
        if words[at] // GENERATION != state // GENERATION:
            continue  # freed meanwhile, so what was copied may be the next owner's
        yield Reading(tuple(json.loads(label.rstrip(b"\0"))), values, state % GENERATION == LIVE)
