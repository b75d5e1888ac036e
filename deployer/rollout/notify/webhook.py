"""Sends what happens to rollouts to the addresses that their documents name. Never in anybody's way."""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from deployer.rollout.notify.cloudevent import CONTENT_TYPE

log = logging.getLogger(__name__)

MOST = 100
"""Notices that wait. With more, new ones are dropped."""
TIMEOUT = 5.0
"""Seconds that a receiver has for its answer."""
PAUSES = (1.0, 5.0, 30.0)
"""Seconds before each further try."""
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that say to try again."""


class _Notice(NamedTuple):
    due: float
    """By the monotonic clock, in seconds."""
    order: int
    tries: int
    url: str
    type: str
    body: bytes


class Webhooks:
    """Sends notices from a thread of its own, a few times where that fails. What can't be sent is logged.

    An address is a secret: it may hold a password or a token, in its path too. So only its host is logged.
    """

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self._pauses = pauses
        self._waiting: list[_Notice] = []
        self._order = count()
        self._changed = threading.Condition()
        self._closed = False
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address whole
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def send(self, url: str, event: Mapping[str, Any]) -> None:
        """Send `event` (of `cloudevent.py`) to `url` soon. Returns at once."""
        notice = _Notice(0.0, next(self._order), 0, url, str(event["type"]), json.dumps(event).encode())
        with self._changed:
            if self._closed or len(self._waiting) >= MOST:
                log.warning("%s for %s is dropped: too many notices wait", notice.type, _host(url))
                return
            heapq.heappush(self._waiting, notice)
            self._changed.notify()
            if self._thread.ident is None:
                self._thread.start()

    def close(self, timeout: float = 2 * TIMEOUT) -> None:
        """Send what waits without any pauses, for at most about `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            if self._thread.ident is None:
                return
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("what waits to be sent is given up")

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT) as client:
            while (notice := self._next()) is not None:
                failure = _posted(client, notice)
                if failure is None:
                    continue
                again, why = failure
                if again and notice.tries < len(self._pauses):
                    self._again(notice)
                else:
                    log.warning("%s can't be sent to %s: %s", notice.type, _host(notice.url), why)

    def _next(self) -> _Notice | None:
        """The next one, once it is due; None at the end."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                left = self._waiting[0].due - time.monotonic()
                if left <= 0 or self._closed:
                    return heapq.heappop(self._waiting)
                self._changed.wait(left)

    def _again(self, notice: _Notice) -> None:
        due = time.monotonic() + self._pauses[notice.tries]
        with self._changed:
            heapq.heappush(self._waiting, notice._replace(due=due, tries=notice.tries + 1))


def _posted(client: httpx.Client, notice: _Notice) -> tuple[bool, str] | None:
    """None once it is delivered; else whether to try again, and what went wrong."""
    try:
        headers = {"content-type": CONTENT_TYPE}
        with client.stream("POST", notice.url, content=notice.body, headers=headers) as answer:
            pass  # its head says all: what comes after it may have no end
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # without their texts, which may hold the address
        return isinstance(error, httpx.TransportError), type(error).__name__
    if answer.is_success:
        return None
    return answer.status_code in _LATER, f"it answers {answer.status_code}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "nowhere"
