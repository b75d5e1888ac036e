"""Hears what gateways, model servers, Prometheus and webhooks say of the rollouts that are under way, beside the loop.

What was heard is kept with its time, and counts as unread once it is old. The deployments are looked at again after
each round of the gateways, so that rollouts go on at its pace; the API server is not asked for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.objects.kinds import Key, Object
from deployer.kubernetes.poll.gateways import Admins, Counted
from deployer.kubernetes.poll.providers import ProviderAnswers, Providers
from deployer.kubernetes.poll.rounds import Rounds
from deployer.kubernetes.reconcile.observed import PollResult
from deployer.rollout.state import OVER

PERIOD = 2.0
"""Seconds between two rounds of the gateways."""
SELDOM = 5.0
"""Seconds between two rounds of the other providers."""
STALE = 6.0
"""Seconds after which what gateways said counts as unread."""
FORGOTTEN = 20.0
"""Seconds after which what the other providers said does: one of their rounds may take ten."""


class Poller:
    """`gateways` are the EndpointSlices of the gateways' admin Service; None: nobody has said which it is. `leads`:
    whether this operator is the active one: another one asks nobody."""

    def __init__(
        self, store: Store, queue: Queue, gateways: Cache | None, prometheus: str | None, leads: Callable[[], bool]
    ) -> None:
        self._store = store
        self._queue = queue
        self._leads = leads
        self._admins = Admins(gateways)
        self._providers = Providers(store, prometheus)
        self._lock = threading.Lock()
        self._counted: dict[Key, tuple[float, Counted]] = {}
        self._answers: dict[Key, tuple[float, ProviderAnswers]] = {}
        self._whole: dict[Key, float] = {}
        """When all of a deployment's sources were last read, or its rollout was first seen."""
        self._rounds = (
            Rounds("gateways", PERIOD, self._ask_gateways),
            Rounds("providers", SELDOM, self._ask_providers),
        )

    def start(self) -> None:
        self._admins.start()
        for rounds in self._rounds:
            rounds.start()

    def stop(self) -> None:
        """End after the rounds at hand. Returns once they are over."""
        for rounds in self._rounds:
            rounds.stop()
        self._admins.stop()
        self._providers.stop()

    def latest(self, key: Key) -> PollResult:
        """What was heard last of a deployment."""
        now = time.monotonic()
        with self._lock:
            counted = _fresh(self._counted.get(key), now - STALE, Counted(unread=("the gateways",)))
            answers = _fresh(self._answers.get(key), now - FORGOTTEN, ProviderAnswers())
        return PollResult(
            readings=counted.readings if answers.counted is None else answers.counted.readings,
            unread=counted.unread if answers.counted is None else answers.counted.unread,
            in_force=counted.in_force,
            metrics=answers.metrics,
            signatures=answers.signatures,
            asked=answers.asked,
        )

    def silences(self) -> dict[Key, float]:
        """For each deployment with a rollout under way the seconds since all its sources were read."""
        now = time.monotonic()
        with self._lock:
            return {key: now - at for key, at in self._whole.items()}

    def _ask_gateways(self) -> None:
        resources = self._under_way()
        counted = self._admins.ask(resources)
        now = time.monotonic()
        with self._lock:
            self._counted = {key: (now, _evidence(resources[key], counts)) for key, counts in counted.items()}
        unread = {key for key in resources if _is_silent(self.latest(key))}
        with self._lock:
            self._whole = {key: self._whole.get(key, now) if key in unread else now for key in resources}
        for key in resources:
            self._queue.add(key, urgent=True)

    def _ask_providers(self) -> None:
        answers = self._providers.ask(self._under_way())
        now = time.monotonic()
        with self._lock:
            self._answers = {key: (now, answer) for key, answer in answers.items()}

    def _under_way(self) -> dict[Key, Object]:
        if not (self._store.synced and self._leads()):
            return {}
        return {_key(found): found for found in self._store.resources() if _phase(found) not in (None, *OVER)}


def _is_silent(latest: PollResult) -> bool:
    return bool(latest.unread) or any(isinstance(value, str) for value in latest.metrics.values())


def _evidence(resource: Object, counts: Counted) -> Counted:
    """What of the gateways' counts is evidence: none, where Prometheus is to say them, and may not have said anything
    yet. Taken from both, they would count twice."""
    if resource["spec"].get("rollout", {}).get("evidence") != "prometheus":
        return counts
    return replace(counts, readings=(), unread=("Prometheus",))


_Answer = TypeVar("_Answer")


def _fresh(known: tuple[float, _Answer] | None, since: float, otherwise: _Answer) -> _Answer:
    return known[1] if known is not None and known[0] > since else otherwise


def _phase(resource: Object) -> str | None:
    """Of its rollout, if there is one."""
    phase: str | None = ((resource.get("status") or {}).get("rollout") or {}).get("phase")
    return phase


def _key(resource: Object) -> Key:
    metadata = resource["metadata"]
    return Key(metadata["namespace"], metadata["name"])
