"""What one request is evidence of, for the version that the random split assigned it to: a rollout's verdict hangs on
these counts.

A request is counted when it is assigned, and as slow the moment the limit passes, or a version that hangs would look
idle. Its first attempt says whether it is an error or a rejection; what retries and stable make of it mends nothing.
All of it goes to the epoch of the assignment, however late.
"""

from __future__ import annotations

import asyncio

from gateway.arms import ERRORS, REJECTIONS, SLOW, Arm


class Evidence:
    """Of one request, from its assignment until its first attempt is over."""

    __slots__ = ("_arm", "_bucket", "_timer")

    def __init__(self, arm: Arm, bucket: int | None, slow: float | None) -> None:
        """`bucket`: that of the sticky key. `slow`: seconds after which the request counts as slow."""
        self._arm = arm
        self._bucket = bucket
        self._timer = None if slow is None else asyncio.get_running_loop().call_later(slow, self._bad, SLOW)
        arm.slot.assigned()
        if arm.bitmap is not None and bucket is not None:
            arm.bitmap.assigned(bucket)

    def answered(self, status: int) -> None:
        """The first attempt brought a whole answer. `status`: HTTP's, or the one that gRPC's code maps to.

        What the gateway itself refuses for the caller's sake (401, 403, 429) has no version, and never comes here; a
        version that answers so is one that is worse.
        """
        self.left()
        if status >= 500:
            self._bad(ERRORS)
        elif status >= 400:
            self._bad(REJECTIONS)

    def failed(self) -> None:
        """It brought none, or could not be made."""
        self.left()
        self._bad(ERRORS)

    def left(self) -> None:
        """The client went before: what was slow by then stays so."""
        if self._timer is not None:
            self._timer.cancel()

    def _bad(self, signal: int) -> None:
        slot, bitmap = self._arm
        slot.bad(signal)
        if bitmap is not None and self._bucket is not None:
            bitmap.bad(signal, self._bucket)
