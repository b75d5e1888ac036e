"""What one request is evidence of, for the version that the random split assigned it to: a rollout's verdict hangs on
these counts.

A request is counted once something is known of it: when its first attempt is over, or, as slow, the moment the limit
passes, or a version that hangs would look idle. Counted when it is assigned it would be as good as answered until it
fails, and a version that hangs could be promoted. One whose caller waits for less than any server takes is left out
before a version is chosen (`Split.says_something`). Its first attempt says whether it is an error or a rejection; what
retries and stable make of it mends nothing. All of it goes to the epoch of the assignment, however late.
"""

from __future__ import annotations

import asyncio

from gateway.stats.evidence_slots import ERRORS, REJECTIONS, SLOW, Arm
from gateway.stats.median import Median

PATIENCE = 1.0
"""Seconds without a byte after which a server was too slow for whoever gives up then: a client, or its deadline."""


class Evidence:
    """Of one request, from its assignment until its first attempt is over."""

    __slots__ = ("_arm", "_bucket", "_counted", "_group", "_slow", "_timer", "_usual")

    def __init__(
        self, arm: Arm, group: int, bucket: int | None, slow: float | None, usual: Median | None = None
    ) -> None:
        """`group`: that of the caller. `bucket`: that of the sticky key. `slow`: seconds after which the request counts
        as slow. `usual`: what takes the time that stable took, where it is stable's."""
        self._arm = arm
        self._group = group
        self._usual = usual
        self._bucket = bucket
        self._counted = False
        self._slow = slow
        self._timer: asyncio.TimerHandle | None = None

    def awaited(self) -> None:
        """The request is whole: from now on the time is the version's."""
        if self._slow is not None:
            self._timer = asyncio.get_running_loop().call_later(self._slow, self._known, SLOW)

    def began(self, waited: float) -> None:
        """The first message of a stream is there, after so many seconds: how long it goes on is its caller's affair."""
        self._ended()
        if self._usual is not None:
            self._usual.add(waited)
            self._usual = None
        self._known(None)

    def left(self, waited: float) -> None:
        """The client went after so many seconds without a byte of an answer. What was slow by then stays so; else it
        says nothing where it had no patience, and that this was too long where it had some: of a version that hangs,
        clients with deadlines of their own would leave no trace."""
        self._ended()
        if not self._counted and waited >= PATIENCE:
            self._known(ERRORS)

    def answered(self, status: int, waited: float) -> None:
        """The first attempt brought a whole answer, after so many seconds. `status`: HTTP's, or what gRPC's code is
        there.

        What the gateway itself refuses for the caller's sake (401, 403, 429) has no version, and never comes here; a
        version that answers so is one that is worse.
        """
        self._ended()
        if self._usual is not None:
            self._usual.add(waited)
        self._known(ERRORS if status >= 500 else REJECTIONS if status >= 400 else None)

    def failed(self) -> None:
        """It brought none, or could not be made."""
        self._ended()
        self._known(ERRORS)

    def _ended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _known(self, bad: int | None) -> None:
        """Count the request, if it is not counted yet, and for which signal it is bad."""
        slot, bitmap = self._arm
        if not self._counted:
            self._counted = True
            slot.counted(self._group)
            if bitmap is not None and self._bucket is not None:
                bitmap.counted(self._group, self._bucket)
        if bad is not None:
            slot.bad(bad, self._group)
            if bitmap is not None and self._bucket is not None:
                bitmap.bad(bad, self._group, self._bucket)
