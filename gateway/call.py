"""A call: a client's request, from the moment it is whole. Admit, route, retry, fall back, answer, record. What differs
by wire is in the subclasses of `Call`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from time import monotonic, monotonic_ns

from gateway import outcome
from gateway.attempt import Attempt
from gateway.contract.route_table import Deployment, ProtocolFamily, RouteTable, Version
from gateway.forwarder import Forwarder
from gateway.protocols.base import PASSED_ON, Address
from gateway.refusal import Code, Refusal
from gateway.routing import assignment_header, router
from gateway.routing.assignment_header import Assignments
from gateway.routing.sticky import Values
from gateway.stats import counters
from gateway.stats.counters import RequestSlot
from gateway.stats.evidence_recorder import Evidence
from gateway.upstream.assignment_fields import AssignmentFields
from gateway.upstream.endpoint import Endpoint, Upstream
from gateway.upstream.failure import Failure
from gateway.upstream.policy.load_balancer import pick

MAX_ATTEMPTS = 3
"""Of one call at one version; a canary's may be followed by stable's."""

MAX_LOST = 2
"""Servers whose connection may end under one call: it may be the call that kills them, and is not to kill all."""

BACKOFF_SECONDS = 0.025
"""Envoy's base: before a retry at an endpoint that was tried already, jittered, doubled each time."""

STREAMED_BYTES = 1 << 20
"""A request that is longer goes on as it comes: it takes up little memory here, and can't be sent a second time."""

LEAST_PACE = 64 << 10
"""Bytes a second at which such a request has to come, beyond what may have come within a deadline: it has a connection
to a server, of which there are not enough for all who would send next to nothing."""

_FAMILY_NAMES: dict[ProtocolFamily, str] = {
    "tfserving": "TensorFlow Serving",
    "seldon": "Seldon",
    "oip": "the Open Inference Protocol",
}
_FAMILIES: dict[str, ProtocolFamily] = {
    "tfserving-rest": "tfserving",
    "tfserving-grpc": "tfserving",
    "seldon-rest": "seldon",
    "seldon-grpc": "seldon",
    "oip-rest": "oip",
    "oip-grpc": "oip",
}


class Call(ABC):
    """One request, from the moment it is whole to the last byte of its answer. It is the sink of its attempts."""

    request_id: bytes
    address: Address
    table: RouteTable
    deployment: Deployment
    upstream: Upstream
    how: str
    epoch: int
    started_us: int
    deadline: float
    """Seconds of the monotonic clock."""
    silence: float | None
    """Seconds without a byte after which an answer that has begun is given up, whatever the deadline is. None: the
    caller said how long he waits, and that holds for the whole of it."""

    attempt: Attempt | None = None
    """Under way."""
    slot: RequestSlot | None = None
    evidence: Evidence | None = None
    """Where the random split chose, until the first attempt is over."""
    tried: tuple[Endpoint, ...] = ()
    attempts = 0
    lost = 0
    """Attempts under which a server's connection ended."""
    before: Assignments = assignment_header.NONE
    """What earlier calls were assigned, as the request says."""
    assignment_fields: AssignmentFields | None = None
    """Of the version that answers, once it is chosen."""
    over = False
    """Nothing is to come of this call any more."""
    flows = False
    """The request goes on as it comes."""
    came = 0
    """Bytes of it that have come since."""
    paced = False
    """The rest of it is to come at LEAST_PACE."""
    gone = False
    """Some of it has, and is held no more: it can't be sent again."""
    awaits = True
    """Whether the version has all that it needs to answer: else silence may be the client's."""
    awaited_us: int
    """Since when, in microseconds of the monotonic clock."""
    left_at: float | None = None
    """When its version was found to be served no more."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder

    # What a wire does.

    @property
    @abstractmethod
    def caller(self) -> str:
        """Who calls: an IPv4 address, or the first 64 bits of one of IPv6."""

    @abstractmethod
    def values(self) -> Values:
        """The request's fields."""

    @abstractmethod
    def attempt_at(self, endpoint: Endpoint, assignment_fields: AssignmentFields) -> Attempt:
        """One more attempt, not started: the request goes on with these fields."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> None:
        """Answer the client with an error in its protocol."""

    @abstractmethod
    def break_off(self, code: Code, message: str) -> None:
        """The answer has begun and can't be finished: let the client see that it is not whole."""

    # The way.

    def admit(self, address: Address, size: int, since: float, asked: float | None) -> None:
        """Choose the version and send. `size`: of the body or the message; `since`: when the deadline begins to run, of
        the monotonic clock; `asked`: the seconds that the caller waits, where he says so."""
        forwarder = self.forwarder
        self.address = address
        table = forwarder.table
        try:
            if table is None:
                raise Refusal(Code.UNAVAILABLE, "no_table", "this gateway has no route table yet")
            deployment = router.find(table, address.name, address.namespace)
            if deployment.runtime != _FAMILIES[address.protocol]:
                family = _FAMILY_NAMES[deployment.runtime]
                message = f"{deployment.key} speaks {family}'s protocols, the request is {address.protocol}"
                raise Refusal(Code.UNIMPLEMENTED, "other_protocol", message)
            if deployment.max_message_bytes is not None and size > deployment.max_message_bytes:
                message = f"{deployment.key} takes at most {deployment.max_message_bytes} bytes a request"
                raise Refusal(Code.RESOURCE_EXHAUSTED, "too_large", message, status=413)
            version, self.how, self.epoch, bucket = router.assign(
                deployment, address.pin, forwarder.random(), self.values, self.before
            )
        except Refusal as refusal:
            forwarder.refused(address.protocol, refusal, self.request_id, self.caller)
            self.over = True
            self.refuse(refusal)
            return
        self.table = table
        self.deployment = deployment
        settings = forwarder.settings
        timeout = (deployment.timeout or settings.timeout) if asked is None else asked
        if timeout > settings.max_timeout:
            timeout = settings.max_timeout
        self.deadline = since + timeout
        self.silence = timeout if asked is None else None
        self._enter(version)
        self.upstream.budget.request()
        if deployment.salt and self.how == "split" and address.method not in PASSED_ON.values():
            split = forwarder.counters.evidence.of(deployment)
            if split.says_something(self.deadline - self.started_us / 1e6):
                usual = split.usual if version.name == deployment.stable else None
                arm = split.arms[version.name, bucket is not None]
                self.evidence = Evidence(arm, split.group(self.caller), bucket, split.slow, usual)
                if not self.flows:
                    self.evidence.awaited()
        self.awaits = not self.flows
        self._attempt()

    def whole(self) -> None:
        """All has come of a request that goes on as it comes, or of a stream what is to be answered first."""
        self.awaits = True
        self.paced = False
        self.awaited_us = monotonic_ns() // 1000
        if self.evidence is not None:
            self.evidence.awaited()

    def began(self) -> None:
        """The first message of a stream is there."""
        self.awaits = False
        if self.evidence is not None:
            self.evidence.began(self._waited())

    def _enter(self, version: Version) -> None:
        self.upstream = upstream = self.forwarder.upstreams.of(self.deployment, version)
        fields = upstream.assignment_fields if not self.before else upstream.fields_after(self.before)
        self.assignment_fields = fields
        self.slot = upstream.slot(self.address.protocol, self.how)
        self.started_us = self.awaited_us = monotonic_ns() // 1000
        self.slot.started(self.started_us)

    def _attempt(self) -> None:
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
                    self._give_up("no_endpoint", "no server of it is ready", None)
                return
            endpoint = found
        self.attempts += 1
        assert self.assignment_fields is not None
        self.attempt = attempt = self.attempt_at(endpoint, self.assignment_fields)
        attempt.start()

    def unavailable(self) -> bool:
        attempt = self.attempt
        assert attempt is not None
        return not self.gone and self.address.repeatable and (self._elsewhere(attempt.endpoint) or self._may_fall_back)

    def failed(self, failure: Failure, *, sent: bool) -> None:
        attempt = self.attempt
        assert attempt is not None
        self.attempt = None
        endpoint = attempt.endpoint
        if sent and failure == Failure.RESET:
            self.lost += 1
        if self.evidence is not None:
            if failure == Failure.DEADLINE and not self.awaits:
                self.evidence.left(0.0)
            else:
                self.evidence.failed()
            self.evidence = None
        if attempt.begun:
            late = failure == Failure.DEADLINE
            self._finish(counters.DEADLINE if late else counters.SERVER_ERROR, failure.name.lower(), endpoint)
            self.over = True
            code = Code.DEADLINE_EXCEEDED if late else Code.UNAVAILABLE
            self.break_off(code, f"{self._which()}: {outcome.SAID[failure]}")
        elif failure == Failure.DEADLINE:
            self._expire(endpoint)
        elif failure == Failure.UNAVAILABLE and not self._elsewhere(endpoint):
            self._fall_back()
        elif self.gone or not ((not sent or self.address.repeatable) and self._retry(failure, endpoint)):
            self._give_up(failure.name.lower(), outcome.SAID[failure], endpoint)

    def _retry(self, failure: Failure, endpoint: Endpoint) -> bool:
        """Whether there is another attempt, at this version or at stable."""
        if self.lost >= MAX_LOST:
            return False
        self._renew()
        if self.lost and self._fall_back():  # the one server that it may still cost is one that is known to be good
            return True
        now = monotonic()
        if self.attempts >= MAX_ATTEMPTS or not self.upstream.budget.take(now):
            return self._fall_back()
        assert self.slot is not None
        self.slot.retried(outcome.CAUSES[failure])
        self.tried = (*self.tried, endpoint)
        if any(other not in self.tried for other in self.upstream.endpoints):
            self._attempt()
        else:
            delay = self.forwarder.random() * BACKOFF_SECONDS * 2**self.attempts
            asyncio.get_running_loop().call_later(min(delay, self.deadline - now), self._after_backoff)
        return True

    def _after_backoff(self) -> None:
        if self.over:
            return  # the client has gone meanwhile
        if monotonic() < self.deadline:
            self._attempt()
        else:
            self._expire(None)

    def _elsewhere(self, endpoint: Endpoint) -> bool:
        """Whether an attempt after that at `endpoint` may be one at another endpoint of the version."""
        untried = any(other is not endpoint and other not in self.tried for other in self.upstream.endpoints)
        return untried and self.attempts < MAX_ATTEMPTS

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
        return chosen and self.upstream.version.name != self.deployment.stable and self._stable_can_bear_it

    @property
    def _stable_can_bear_it(self) -> bool:
        """What a server was lost under may cost stable one of its servers, but not the last that is ready."""
        if not self.lost:
            return True
        deployment = self.deployment
        stable = self.forwarder.upstreams.of(deployment, deployment.by_name[deployment.stable])
        now = monotonic()
        return sum(endpoint.ejection.until <= now for endpoint in stable.endpoints) > 1

    def _fall_back(self) -> bool:
        """Where a canary that can't answer was chosen for an unpinned request, stable does; the failure is its own."""
        if not self._may_fall_back:
            return False
        self._finish(counters.UNAVAILABLE, "fell_back", None)
        self.how = "fallback"
        self.tried = ()
        self.attempts = 0
        self._enter(self.deployment.by_name[self.deployment.stable])
        self._attempt()
        return True

    def _give_up(self, reason: str, message: str, endpoint: Endpoint | None) -> None:
        self._finish(counters.UNAVAILABLE, reason, endpoint)
        self.over = True
        self.refuse(Refusal(Code.UNAVAILABLE, reason, f"{self._which()}: {message}"))

    def _expire(self, endpoint: Endpoint | None) -> None:
        """The deadline is there, and nothing of an answer."""
        if not self.awaits:
            self._finish(counters.CLIENT_ERROR, "slow_request", endpoint)
            self.over = True
            self.refuse(_slow_request())
            return
        self._finish(counters.DEADLINE, "deadline", endpoint)
        self.over = True
        message = f"{self._which()}: {outcome.SAID[Failure.DEADLINE]}"
        self.refuse(Refusal(Code.DEADLINE_EXCEEDED, "deadline", message))

    def cancelled(self) -> None:
        """The client is gone, or wants the answer no more."""
        if self.over:
            return
        self.over = True
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.cancel()
        if self.evidence is not None:
            begun = attempt is not None and attempt.begun
            self.evidence.left(self._waited() if self.awaits and not begun else 0.0)
            self.evidence = None
        if self.slot is not None:
            self._finish(counters.CANCELLED, "cancelled", None)

    def sweep(self, now: float) -> None:
        """End what goes on for longer than a drain after its version is served no more, or comes too slowly."""
        attempt = self.attempt
        if self.paced:
            patience = self.deployment.timeout or self.forwarder.settings.timeout
            if (now - self.started_us / 1e6 - patience) * LEAST_PACE > self.came:
                self.expel(_slow_request())
                return
        if self.slot is None or not (self.flows or (attempt is not None and attempt.begun)):
            return
        table, deployment, version = self.forwarder.table, self.deployment, self.upstream.version.name
        there = None if table is None else table.find(deployment.name, deployment.namespace)
        if router.may_keep(there, version, self.how):
            self.left_at = None
        elif self.left_at is None:
            self.left_at = now
        elif now - self.left_at > self.forwarder.settings.drain_seconds:
            self.expel(Refusal(Code.UNAVAILABLE, "version_gone", f"{self._which()} is served no longer; try again"))

    def expel(self, refusal: Refusal) -> None:
        """End it for the gateway's sake, once it has a version: that says nothing of the version."""
        if self.slot is None:
            return
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.cancel()
        if self.evidence is not None:
            self.evidence.left(0.0)
            self.evidence = None
        fault = counters.CLIENT_ERROR if refusal.status < 500 else counters.UNAVAILABLE
        self._finish(fault, refusal.reason, None)
        self.over = True
        if attempt is not None and attempt.begun:
            self.break_off(refusal.code, refusal.message)
        else:
            self.refuse(refusal)

    def complete(self, status: int) -> None:
        """The answer is whole. `status`: HTTP's, or the one that gRPC's code maps to."""
        attempt = self.attempt
        assert attempt is not None
        self.attempt = None
        if self.evidence is not None:
            self.evidence.answered(status, self._waited())
            self.evidence = None
        self._finish(outcome.of_status(status), "" if status < 400 else f"answered {status}", attempt.endpoint)
        self.over = True

    # Its parts.

    def _finish(self, result: int, reason: str, endpoint: Endpoint | None) -> None:
        slot = self.slot
        assert slot is not None
        now_us = monotonic_ns() // 1000
        slot.finished(self.started_us, now_us, result)
        self.slot = None
        if self.evidence is not None:  # there was not even an attempt
            self.evidence.failed()
            self.evidence = None
        if result not in outcome.QUIET:
            self.forwarder.log_failure(
                "request failed",
                deployment=self.deployment.key,
                version=self.upstream.version.name,
                protocol=self.address.protocol,
                method=self.address.method,
                assignment=self.how,
                epoch=self.epoch,
                outcome=counters.OUTCOMES[result],
                reason=reason,
                endpoint=endpoint or "-",
                caller=self.caller,
                request_id=self.request_id.decode(),
                attempts=self.attempts,
                ms=round((now_us - self.started_us) / 1000, 1),
            )

    def _waited(self) -> float:
        return monotonic_ns() / 1e9 - self.awaited_us / 1e6

    def _which(self) -> str:
        return f"{self.deployment.key} version {self.upstream.version.name}"


def _slow_request() -> Refusal:
    return Refusal(Code.DEADLINE_EXCEEDED, "slow_request", "the request did not arrive in time", status=408)
