"""What others say of a rollout: the gateway or Prometheus of what was counted, servers of their signatures, and
whoever has the user's own metrics. Asked aside, so that nobody's silence holds up a round."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from deployer.document.model import ModelDeployment
from deployer.local.admin_client import Version
from deployer.local.background import Background
from deployer.local.gateway_process import Gateway
from deployer.local.replicas import Replica
from deployer.rollout.analysis.reading import Reading
from deployer.rollout.analysis.signature import Signature
from deployer.rollout.providers.gateways import Gateways
from deployer.rollout.providers.prometheus import Prometheus, Unread
from deployer.rollout.providers.signatures import SignatureAnswer, fetch
from deployer.rollout.providers.user_metrics import Metrics
from deployer.rollout.state import Rollout
from deployer.runtimes.base import HOST
from gateway.contract import route_table

EVERY = 1.0
"""Seconds between two questions for evidence: a bad version is to lose its traffic within seconds."""
METRICS_EVERY = 5.0
"""Seconds between two questions for the user's metrics, which change with Prometheus' scrapes."""
STALE = 5.0
"""Seconds without an answer after which an earlier one counts no more."""

Counted = tuple[tuple[Reading, ...], tuple[str, ...]]
"""What sources say, and who of them doesn't."""
Answer = TypeVar("Answer")


@dataclass
class _Last(Generic[Answer]):
    """The last answer to a question that is asked again and again."""

    answered_at: float
    asked: float = -math.inf
    answer: Answer | None = None


class _Repeated(Generic[Answer]):
    """Questions that are asked every so many seconds; `none` stands for the answer while there is none."""

    def __init__(self, every: float, none: Answer) -> None:
        self._every = every
        self._none = none
        self._background: Background[Answer] = Background()
        self._last: dict[Hashable, _Last[Answer]] = {}

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> Answer | None:
        """The last answer; None until there is one, unless that takes too long."""
        now = time.monotonic()
        last = self._last.setdefault(key, _Last(now))
        if (answer := self._background.answer(key)) is not None:
            last.answer, last.answered_at = answer, now
        if now - last.asked >= self._every:
            self._background.ask(key, question)
            last.asked = now
        return last.answer if now - last.answered_at <= self._every + STALE else self._none

    def forget(self, key: Hashable) -> None:
        self._background.forget(key)
        self._last.pop(key, None)


class Poller:
    """Of all deployments with a rollout."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._gateways = Gateways()
        self._prometheus = Prometheus(gateway.prometheus) if gateway.prometheus is not None else None
        self._own = Metrics(self._prometheus)
        self._counts: _Repeated[Counted] = _Repeated(EVERY, ((), ("the source of evidence",)))
        self._metrics: _Repeated[Mapping[str, float | str]] = _Repeated(METRICS_EVERY, {})
        self._fetches: Background[tuple[Signature | None]] = Background()
        self._answers: dict[tuple[Version, str], SignatureAnswer] = {}

    def counts(self, document: ModelDeployment, rollout: Rollout) -> Counted:
        """What was counted, by the last answer."""
        return self._counts.ask(document.key, partial(self._read, document, rollout)) or ((), ())

    def metrics(self, document: ModelDeployment, rollout: Rollout) -> Mapping[str, float | str]:
        """The user's own, by the last answers."""
        declared = document.spec.rollout
        if declared is None or not declared.objectives.metrics:
            return {}
        return self._metrics.ask(document.key, partial(self._values, document, rollout)) or {}

    def signatures(
        self, document: ModelDeployment, runtime: route_table.ProtocolFamily, ready: Mapping[str, Replica]
    ) -> tuple[dict[str, Signature], set[str]]:
        """Those that are known, by version; and the versions that were asked. `ready`: a replica of each that is."""
        answers: dict[str, SignatureAnswer] = {}
        for version, replica in ready.items():
            key = (replica.key, replica.record.digest)
            answers[version] = self._answers.setdefault(key, SignatureAnswer())
            if (fetched := self._fetches.answer(key)) is not None:
                answers[version].signature = fetched[0]
                answers[version].tries += 1
            if not answers[version].done:
                port, name = replica.record.ports["rest"], document.metadata.name
                self._fetches.ask(key, lambda port=port, name=name: (fetch(runtime, HOST, port, name),))  # type: ignore[misc]
        signatures = {version: answer.signature for version, answer in answers.items() if answer.signature is not None}
        return signatures, {version for version, answer in answers.items() if answer.done}

    def forget(self, key: str) -> None:
        """Whom to ask for a deployment whose rollout is over."""
        self._counts.forget(key)
        self._metrics.forget(key)

    def close(self) -> None:
        """Close the connections."""
        self._own.close()
        self._gateways.close()
        if self._prometheus is not None:
            self._prometheus.close()

    def _read(self, document: ModelDeployment, rollout: Rollout) -> Counted:
        declared, trial = document.spec.rollout, rollout.trial
        if declared is None or declared.evidence == "gateways":
            reports = self._gateways.read([self._gateway.admin], [document.key])
            return reports.of(document.key), tuple(f"the gateway ({why})" for why in reports.unread.values())
        if self._prometheus is None:
            return (), ("Prometheus, which `turnout up --prometheus URL` has to name,",)
        try:
            return self._prometheus.counts(document, trial.stable, trial.canary), ()
        except Unread as error:
            return (), (f"Prometheus ({error})",)

    def _values(self, document: ModelDeployment, rollout: Rollout) -> Mapping[str, float | str]:
        return self._own.read(document, rollout.trial.stable, rollout.trial.canary, rollout.weight)
