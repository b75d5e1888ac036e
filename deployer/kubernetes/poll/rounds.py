"""Something that is done again and again, beside the operator's loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Rounds:
    """Calls `once`, from a thread of its own, with `period` seconds between two calls."""

    def __init__(self, name: str, period: float, once: Callable[[], None]) -> None:
        self._period = period
        self._once = once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the round at hand. Returns once it is over."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._once()
            except Exception:  # what was heard grows old, so rollouts hold
                log.exception("a defect in a round", extra={"rounds": self._thread.name})
