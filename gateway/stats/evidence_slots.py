"""Where a worker counts evidence: the slots of both versions that a deployment splits its requests between."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, NamedTuple
from zlib import crc32

from gateway.contract.evidence import BUCKETS, CALLER_GROUPS, SIGNALS
from gateway.contract.route_table import Deployment, RouteTable
from gateway.stats.median import Median
from gateway.stats.shared_slots import WORD, Key, Slot, Slots

log = logging.getLogger(__name__)

ERRORS, SLOW, REJECTIONS = range(len(SIGNALS))

EPOCHS_KEPT: Final = 8
"""A deployment's evidence is kept for so many epochs, the present one included: for those who read late, and for
requests that end late. What ends after that many changes is lost."""

# Words of a slot of counts, and bitmaps of one of buckets: of each group of callers so many, one after the other.
COUNTED, FIRST_SIGNAL = range(2)
COUNTS: Final = FIRST_SIGNAL + len(SIGNALS)
EVIDENCE_WORDS: Final = CALLER_GROUPS * COUNTS
BITMAP_BYTES: Final = BUCKETS // 8
BITMAP_WORDS: Final = -(-EVIDENCE_WORDS * BITMAP_BYTES // WORD)


class EvidenceSlot(Slot):
    """Requests of one namespace, deployment, version and epoch that the random split assigned, with a sticky key or
    without."""

    __slots__ = ()

    def counted(self, group: int) -> None:
        self._words[group * COUNTS] += 1

    def bad(self, signal: int, group: int) -> None:
        """Once for each request and signal, an index of SIGNALS."""
        self._words[group * COUNTS + FIRST_SIGNAL + signal] += 1

    @property
    def idle(self) -> bool:
        return True  # age alone decides


class BitmapSlot(Slot):
    """The buckets of sticky keys with any request, and of those whose requests were bad, of one namespace, deployment,
    version and salt: of each group of callers BITMAP_BYTES for all and for each signal, in which bucket b is bit b % 8
    of byte b // 8."""

    __slots__ = ()

    def counted(self, group: int, bucket: int) -> None:
        self._mark(group * COUNTS, bucket)

    def bad(self, signal: int, group: int, bucket: int) -> None:
        self._mark(group * COUNTS + FIRST_SIGNAL + signal, bucket)

    def _mark(self, index: int, bucket: int) -> None:
        self._words.cast("B")[index * BITMAP_BYTES + bucket // 8] |= 1 << bucket % 8

    @property
    def idle(self) -> bool:
        return True  # of another rollout's salt nothing is of use


class Arm(NamedTuple):
    """Where one version's evidence goes."""

    slot: EvidenceSlot
    bitmap: BitmapSlot | None
    """Of requests with a key."""


ByVersion = dict[tuple[str, bool], Arm]
"""By version, and whether requests have a key."""


class Split(NamedTuple):
    """Of one deployment."""

    arms: ByVersion
    slow: float | None
    """Seconds after which a request counts as slow."""
    usual: Median
    """Seconds that stable takes for an answer."""
    salt: int
    """Of the callers' groups, odd."""

    def says_something(self, left: float) -> bool:
        """Whether a request that has so many seconds left is evidence, whichever version it gets. Known before that is
        chosen, by nothing that the canary did: else callers with deadlines that no server could keep would decide, and
        a canary that became slow would be excused."""
        return left > 0 and left >= (self.slow or self.usual.value or 0.0)

    def group(self, caller: str) -> int:
        """Which of the CALLER_GROUPS a caller belongs to in this rollout: the same on every worker of every gateway."""
        return (crc32(caller.encode()) * self.salt & 0xFFFFFFFF) * CALLER_GROUPS >> 32


class EvidenceSlots:
    """Of the deployments of the table in force, made when first asked for."""

    def __init__(self, counts: Slots[EvidenceSlot], bitmaps: Slots[BitmapSlot]) -> None:
        self._counts = counts
        self._bitmaps = bitmaps
        self._made: dict[int, tuple[Deployment, Split]] = {}
        self._usual: dict[Key, Median] = {}
        """By namespace, deployment and stable version."""

    def of(self, deployment: Deployment) -> Split:
        """Whether there is room is asked once, so that both versions are counted or neither is."""
        # By identity: hashing a deployment hashes all its endpoints. Holding it keeps that from being another's.
        made = self._made.get(id(deployment))
        if made is None:
            made = self._made[id(deployment)] = (deployment, self._make(deployment))
        return made[1]

    def _make(self, deployment: Deployment) -> Split:
        usual = self._usual.setdefault((deployment.namespace, deployment.name, deployment.stable), Median())
        # Multiplied by what is odd, the high bits of a hash are another hash (Dietzfelbinger et al., 1997).
        return Split(self._arms(deployment), deployment.slow, usual, crc32(deployment.salt.encode()) | 1)

    def _arms(self, deployment: Deployment) -> ByVersion:
        name = (deployment.namespace, deployment.name)
        epoch = str(deployment.epoch)
        slots: ByVersion = {}
        for version in filter(None, (deployment.stable, deployment.canary)):
            slots[version, False] = Arm(self._counts.get((*name, version, epoch, "false")), None)
            if deployment.sticky is not None:
                bitmap = self._bitmaps.get((*name, version, deployment.salt))
                slots[version, True] = Arm(self._counts.get((*name, version, epoch, "true")), bitmap)
        if all(
            self._counts.owned(slot) and (bitmap is None or self._bitmaps.owned(bitmap))
            for slot, bitmap in slots.values()
        ):
            return slots
        log.warning("no room to count evidence: a rollout will find none", extra={"deployment": deployment.key})
        return dict.fromkeys(slots, Arm(self._counts.other, None))

    def retain(self, table: RouteTable, departed: Iterable[Deployment]) -> None:
        """Free what `departed` had and `table` lets go."""
        names = set()
        for deployment in departed:
            self._made.pop(id(deployment), None)
            names.add((deployment.namespace, deployment.name))
        self._usual = {key: usual for key, usual in self._usual.items() if _is_stable(key, table)}
        self._counts.retain(names, lambda key: is_recent(key, table))
        self._bitmaps.retain(names, lambda key: has_salt_in_force(key, table))


def _is_stable(key: Key, table: RouteTable) -> bool:
    deployment = table.by_key.get((key[0], key[1]))
    return deployment is not None and deployment.stable == key[2]


def is_recent(key: Key, table: RouteTable) -> bool:
    """Whether the evidence with this key is of an epoch that `table` lets be kept."""
    deployment = table.by_key.get((key[0], key[1]))
    return deployment is not None and deployment.epoch - EPOCHS_KEPT < int(key[3]) <= deployment.epoch


def has_salt_in_force(key: Key, table: RouteTable) -> bool:
    """Whether the bitmap with this key has the salt that `table` has."""
    deployment = table.by_key.get((key[0], key[1]))
    return deployment is not None and deployment.salt == key[3]
