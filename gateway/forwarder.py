"""What the calls of one worker share: the route table, endpoints, counters, and the limits."""

from __future__ import annotations

import itertools
import logging
import random
import secrets
from collections.abc import Callable
from time import monotonic

from gateway.contract.route_table import RouteTable
from gateway.memory_budget import MemoryBudget, MemoryShare
from gateway.refusal import Refusal
from gateway.settings import Settings
from gateway.stats.counters import Counters
from gateway.stats.log_sampler import Sampler
from gateway.upstream.endpoint import Upstreams
from gateway.wire.forwarded import caller_of

log = logging.getLogger(__name__)


class Forwarder:
    """What the calls of one worker share. `random` gives numbers uniform on [0, 1)."""

    def __init__(self, settings: Settings, counts: Counters, *, random: Callable[[], float] = random.random) -> None:
        self.settings = settings
        self.counters = counts
        self.random = random
        self.table: RouteTable | None = None
        self.upstreams = Upstreams(counts, settings)
        self.budget = MemoryBudget(settings.gather_budget_bytes)
        self.draining = False
        self._started = secrets.token_hex(8).encode()
        self._requests = itertools.count(1)
        self._failures = Sampler(settings.log_failures_per_second)

    def swap(self, table: RouteTable) -> None:
        """`table` is in force for every request that is routed from now on; the others keep the version they have."""
        self.table = table
        self.counters.retain(table, self.upstreams.swap(table))

    def share_of(self, own: MemoryShare, forwarded: list[bytes], x_forwarded_for: list[bytes]) -> MemoryShare:
        """Whose a request is that came from a proxy with these fields; its connection's `own` where they don't say."""
        caller = caller_of(forwarded, x_forwarded_for, self.settings.proxies)
        return own if caller is None else self.budget.share_of(caller)

    def new_request_id(self) -> bytes:
        """For a request that bears none: no other has it, of whichever gateway."""
        return b"%b-%x" % (self._started, next(self._requests))

    def refused(self, protocol: str, refusal: Refusal, request_id: bytes, caller: str) -> None:
        """Record a request that no version got; `request_id` is b"" where it has none yet."""
        self.counters.refusal(protocol, refusal.reason).refused()
        self.log_failure(
            "request refused",
            protocol=protocol,
            reason=refusal.reason,
            detail=refusal.message,
            request_id=request_id.decode(),
            caller=caller,
        )

    def log_failure(self, event: str, **values: object) -> None:
        allowed, suppressed = self._failures.allow(monotonic())
        if allowed:
            log.warning(event, extra={**values, "suppressed": suppressed} if suppressed else values)
