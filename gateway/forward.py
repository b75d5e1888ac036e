"""One request's way: admit, split, pick, send, retry, record. What differs by wire is in the subclasses of `Call`."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic, monotonic_ns

from gateway import carried, counters, split
from gateway.carried import Carried
from gateway.cohort import Values
from gateway.counters import Counters, RequestSlot
from gateway.dialects.address import Address
from gateway.errors import HTTP_STATUS, Code, Refusal
from gateway.evidence import PATIENCE, Evidence
from gateway.failures import Sampler
from gateway.settings import Settings
from gateway.table import Deployment, RouteTable, Runtime, Version
from gateway.upstream.attempt import Exchange, Failure
from gateway.upstream.balance import pick
from gateway.upstream.budget import RetryBudget
from gateway.upstream.endpoint import Endpoint, Upstream, Upstreams
from gateway.upstream.mark import Mark

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Of one call at one version; a canary's may be followed by stable's."""

BACKOFF_SECONDS = 0.025
"""Envoy's base: before a retry at an endpoint that was tried already, jittered, doubled each time."""

_SPOKEN: dict[Runtime, str] = {
    "tfserving": "TensorFlow Serving",
    "seldon": "Seldon",
    "oip": "the Open Inference Protocol",
}
_DIALECT_OF: dict[str, Runtime] = {
    "tfserving-rest": "tfserving",
    "tfserving-grpc": "tfserving",
    "seldon-rest": "seldon",
    "seldon-grpc": "seldon",
    "oip-rest": "oip",
    "oip-grpc": "oip",
}
_CAUSES = {
    Failure.CONNECT: counters.CONNECT,
    Failure.FULL: counters.CONNECT,
    Failure.REFUSED: counters.REFUSED_STREAM,
    Failure.RESET: counters.RESET,
    Failure.GARBAGE: counters.RESET,
    Failure.UNAVAILABLE: counters.BACKEND_UNAVAILABLE,
}
_SAID = {
    Failure.CONNECT: "no connection could be made",
    Failure.FULL: "it has as many requests as one gateway may have there",
    Failure.REFUSED: "it refused the stream",
    Failure.RESET: "the connection ended before the answer did",
    Failure.GARBAGE: "what it sent is not the protocol",
    Failure.UNAVAILABLE: "it answered that it is unavailable",
}


class Forwarder:
    """What the calls of one worker share. `random` gives numbers uniform on [0, 1)."""

    def __init__(self, settings: Settings, counts: Counters, *, random: Callable[[], float] = random.random) -> None:
        self.settings = settings
        self.counters = counts
        self.random = random
        self.table: RouteTable | None = None
        self.upstreams = Upstreams(counts, settings)
        self.budget = RetryBudget(monotonic())
        self.gathered = 0
        self.draining = False
        self._failures = Sampler(settings.log_failures_per_second)

    def swap(self, table: RouteTable) -> None:
        """`table` is in force for every request that is routed from now on; the others keep the version they have."""
        self.table = table
        self.counters.retain(table, self.upstreams.swap(table))

    def gather(self, size: int) -> None:
        """Account for `size` more bytes of requests held (fewer, where negative).

        Raises Refusal: this worker holds as much as it may.
        """
        if size > 0 and self.gathered + size > self.settings.gather_budget_bytes:
            raise Refusal(
                Code.RESOURCE_EXHAUSTED,
                "gather_budget",
                f"this gateway is holding {self.gathered} bytes of requests, as much as it may; try again later",
            )
        self.gathered += size

    def refused(self, dialect: str, refusal: Refusal) -> None:
        """Record a request that no version got."""
        self.counters.refusal(dialect, refusal.reason).refused()
        self.log_failure("request refused", dialect=dialect, reason=refusal.reason, detail=refusal.message)

    def log_failure(self, event: str, **values: object) -> None:
        allowed, suppressed = self._failures.allow(monotonic())
        if allowed:
            log.warning(event, extra={**values, "suppressed": suppressed} if suppressed else values)


class Call(ABC):
    """One request, from the moment it is whole to the last byte of its answer."""

    address: Address
    table: RouteTable
    deployment: Deployment
    upstream: Upstream
    how: str
    started_us: int

    exchange: Exchange | None = None
    endpoint: Endpoint | None = None
    timer: asyncio.TimerHandle | None = None
    slot: RequestSlot | None = None
    evidence: Evidence | None = None
    """Where the random split chose, until the first attempt is over."""
    tried: tuple[Endpoint, ...] = ()
    attempts = 0
    before: Carried = carried.NONE
    """What earlier calls were assigned, as the request says."""
    mark: Mark | None = None
    """Of the version that answers, once it is chosen."""
    answered = False
    """The first byte of an answer is on its way to the client: no retry from here."""
    over = False

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder

    # What a wire does.

    @abstractmethod
    def values(self) -> Values:
        """The request's fields."""

    @abstractmethod
    def send(self, endpoint: Endpoint) -> None:
        """Hand the request to one of the endpoint's pools."""

    @abstractmethod
    def unsend(self, endpoint: Endpoint) -> None:
        """Take it back from there while it waits for a connection."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> None:
        """Answer the client with an error in its dialect."""

    @abstractmethod
    def break_off(self, code: Code, message: str) -> None:
        """The answer has begun and can't be finished: let the client see that it is not whole."""

    # The way.

    def admit(self, address: Address, timeout: float) -> None:
        """Choose the version and send. `timeout`: seconds that remain to the deadline."""
        forwarder = self.forwarder
        self.address = address
        table = forwarder.table
        try:
            if table is None:
                raise Refusal(Code.UNAVAILABLE, "no_table", "this gateway has no route table yet")
            deployment = split.find(table, address.name, address.namespace)
            if deployment.runtime != _DIALECT_OF[address.dialect]:
                spoken = _SPOKEN[deployment.runtime]
                message = f"{deployment.key} speaks {spoken}'s dialects, the request is {address.dialect}"
                raise Refusal(Code.UNIMPLEMENTED, "other_dialect", message)
            version, self.how, self.epoch, bucket = split.assign(
                deployment, address.pin, forwarder.random(), self.values, self.before
            )
        except Refusal as refusal:
            forwarder.refused(address.dialect, refusal)
            self.stop()
            self.refuse(refusal)
            return
        self.table = table
        self.deployment = deployment
        self._enter(version)
        forwarder.budget.request()
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(timeout, self.expire)
        if deployment.salt and self.how == "split":
            arm = forwarder.counters.arms.of(deployment)[version.name, bucket is not None]
            self.evidence = Evidence(arm, bucket, deployment.slow)
        self._attempt()

    def _enter(self, version: Version) -> None:
        self.upstream = upstream = self.forwarder.upstreams.of(self.deployment, version)
        self.mark = upstream.mark if not self.before else upstream.marked(self.before)
        self.slot = upstream.slot(self.address.dialect, self.how)
        self.started_us = monotonic_ns() // 1000
        self.slot.started(self.started_us)

    def _attempt(self) -> None:
        if self.over:
            return  # the deadline, or the client, came while a retry waited
        if self.tried:
            self._renew()
        forwarder = self.forwarder
        endpoints = self.upstream.endpoints
        if len(endpoints) == 1:
            endpoint = endpoints[0]
        else:
            u1, u2 = forwarder.random(), forwarder.random()
            found = pick(endpoints, self.tried, monotonic(), u1, u2)
            if found is None:
                if not self._fall_back():
                    self._give_up("no_endpoint", "no server of it is ready")
                return
            endpoint = found
        self.attempts += 1
        self.endpoint = endpoint
        endpoint.sent()
        self.send(endpoint)

    def failed(self, failure: Failure, *, sent: bool) -> None:
        """The attempt failed; no byte of an answer comes from it any more."""
        if self.evidence is not None:
            self.evidence.failed()
            self.evidence = None
        endpoint = self._leave()
        now = monotonic()
        if failure != Failure.FULL:  # which is our limit, not its fault
            endpoint.failed(now, refused=failure == Failure.CONNECT)
        if self.answered:
            self._finish(counters.SERVER_ERROR, failure.name.lower(), endpoint)
            self.stop()
            self.break_off(Code.UNAVAILABLE, f"{self._which()}: {_SAID[failure]}")
            return
        if not sent or self.address.repeatable:
            self._renew()
            if self.attempts < MAX_ATTEMPTS and self.forwarder.budget.take(now):
                assert self.slot is not None
                self.slot.retried(_CAUSES[failure])
                self._again(endpoint)
                return
            if self._fall_back():
                return
        self._give_up(failure.name.lower(), _SAID[failure], endpoint)

    def _again(self, endpoint: Endpoint) -> None:
        self.tried = (*self.tried, endpoint)
        if self._untried:
            self._attempt()
        else:
            delay = self.forwarder.random() * BACKOFF_SECONDS * 2**self.attempts
            asyncio.get_running_loop().call_later(delay, self._attempt)

    @property
    def _untried(self) -> bool:
        """Whether the version has an endpoint that this call has not been at."""
        return any(other is not self.endpoint and other not in self.tried for other in self.upstream.endpoints)

    def _renew(self) -> None:
        """Go on by the table in force, where a server that was replaced has another address. What has left the table
        keeps the endpoints that it had."""
        table = self.forwarder.table
        if table is None or table is self.table:
            return
        self.table = table
        deployment = table.find(self.deployment.name, self.deployment.namespace)
        if deployment is None:
            return
        self.deployment = deployment
        version = deployment.by_name.get(self.upstream.version.name)
        if version is not None:
            self.upstream = self.forwarder.upstreams.of(deployment, version)

    @property
    def _may_fall_back(self) -> bool:
        # By the table in force: the canary of the one before may have no role any more, and has nobody else either.
        # A rule's and an earlier call's choice is nobody's demand, as a pin is; stable's own fall nowhere.
        chosen = self.how in ("split", "match", "inherited")
        return chosen and self.upstream.version.name != self.deployment.stable

    def _fall_back(self) -> bool:
        """Where a canary that can't answer was chosen for an unpinned request, stable does; the failure is its own."""
        if not self._may_fall_back:
            return False
        self._finish(counters.UNAVAILABLE, "fell_back", self.endpoint)
        self.how = "fallback"
        self.tried = ()
        self.attempts = 0
        self._enter(self.deployment.by_name[self.deployment.stable])
        self._attempt()
        return True

    def _give_up(self, reason: str, said: str, endpoint: Endpoint | None = None) -> None:
        self._finish(counters.UNAVAILABLE, reason, endpoint)
        self.stop()
        self.refuse(Refusal(Code.UNAVAILABLE, reason, f"{self._which()}: {said}"))

    def expire(self) -> None:
        """The deadline is there."""
        self.stop()
        endpoint = self.abandon()
        waited = monotonic_ns() // 1000 - self.started_us
        # Where the answer has begun the client may be the slow one; where it gave little time, nothing is proved.
        if endpoint is not None and not self.answered and waited >= PATIENCE * 1_000_000:
            endpoint.failed(monotonic(), refused=False)
        message = f"{self._which()}: no whole answer within the deadline"
        self._finish(counters.DEADLINE, "deadline", endpoint)
        if self.answered:
            self.break_off(Code.DEADLINE_EXCEEDED, message)
        else:
            self.refuse(Refusal(Code.DEADLINE_EXCEEDED, "deadline", message))

    def cancelled(self) -> None:
        """The client is gone, or wants the answer no more."""
        if self.over:
            return
        endpoint = self.abandon()
        if self.slot is not None:
            self._finish(counters.CANCELLED, "cancelled", endpoint)
        self.stop()

    def complete(self, status: int) -> None:
        """The answer is whole. `status`: HTTP's, or the one that gRPC's code maps to."""
        endpoint = self._leave()
        if status in (502, 503, 504):
            endpoint.failed(monotonic(), refused=False)
        else:
            endpoint.succeeded()
        if self.evidence is not None:
            self.evidence.answered(status)
            self.evidence = None
        self._finish(outcome(status), f"answered {status}", endpoint)
        self.stop()

    def try_elsewhere(self) -> bool:
        """The server says that it can't now, and nothing of that was passed on: whether another attempt is made."""
        elsewhere = self._untried and self.attempts < MAX_ATTEMPTS
        if self.answered or not self.address.repeatable or not (elsewhere or self._may_fall_back):
            return False
        if self.exchange is not None:
            self.exchange.cancel(self)
        if elsewhere:
            self.failed(Failure.UNAVAILABLE, sent=True)
        else:
            self._leave().failed(monotonic(), refused=False)
            self._fall_back()
        return True

    # Its parts.

    def abandon(self) -> Endpoint | None:
        """Give up the attempt under way, if there is one."""
        if self.endpoint is None:
            return None
        if self.exchange is not None:
            self.exchange.cancel(self)
        else:
            self.unsend(self.endpoint)
        return self._leave()

    def _leave(self) -> Endpoint:
        endpoint = self.endpoint
        assert endpoint is not None
        self.endpoint = None
        self.exchange = None
        endpoint.done()
        return endpoint

    def _finish(self, result: int, reason: str, endpoint: Endpoint | None) -> None:
        slot = self.slot
        assert slot is not None
        now_us = monotonic_ns() // 1000
        slot.finished(self.started_us, now_us, result)
        self.slot = None
        if self.evidence is not None:
            if result == counters.CANCELLED:
                self.evidence.left(0.0 if self.answered else (now_us - self.started_us) / 1e6)
            else:
                self.evidence.failed()
            self.evidence = None
        if result not in (counters.SUCCESS, counters.CANCELLED):
            self.forwarder.log_failure(
                "request failed",
                deployment=self.deployment.key,
                version=self.upstream.version.name,
                dialect=self.address.dialect,
                method=self.address.method,
                assignment=self.how,
                epoch=self.epoch,
                outcome=counters.OUTCOMES[result],
                reason=reason,
                endpoint=endpoint or "-",
                attempts=self.attempts,
                ms=round((now_us - self.started_us) / 1000, 1),
            )

    def stop(self) -> None:
        """Nothing is to come of this call any more."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _which(self) -> str:
        return f"{self.deployment.key} version {self.upstream.version.name}"


def outcome(status: int) -> int:
    """How an HTTP status counts."""
    if status < 400:
        return counters.SUCCESS
    if status == HTTP_STATUS[Code.CANCELLED]:
        return counters.CANCELLED
    if status < 500:
        return counters.CLIENT_ERROR
    return counters.DEADLINE if status == 504 else counters.SERVER_ERROR
