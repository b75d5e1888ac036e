"""Asks whom gateways know nothing of: Prometheus, the users' webhooks, and model servers for their signatures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.objects.kinds import Key, Object
from deployer.kubernetes.objects.resource import read
from deployer.kubernetes.poll.gateways import Counted
from deployer.kubernetes.poll.signatures import Signatures
from deployer.kubernetes.status.model import read as read_status
from deployer.rollout.analysis.signature import Signature
from deployer.rollout.providers.prometheus import Prometheus, Unread
from deployer.rollout.providers.user_metrics import Metrics
from deployer.rollout.status import RolloutStatus

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Deployments that providers are asked about at the same time."""


@dataclass(frozen=True)
class ProviderAnswers:
    """Of one deployment. `counted`: by Prometheus; None where the gateways are asked. The rest as PollResult has it."""

    counted: Counted | None = None
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()


class Providers:
    """`prometheus`: its address; None: there is none to ask."""

    def __init__(self, store: Store, prometheus: str | None) -> None:
        self._prometheus = Prometheus(prometheus) if prometheus is not None else None
        self._metrics = Metrics(self._prometheus)
        self._signatures = Signatures(store)
        self._threads = ThreadPoolExecutor(AT_ONCE, "providers")

    def stop(self) -> None:
        """Nobody may ask any more."""
        self._threads.shutdown()
        self._metrics.close()
        if self._prometheus is not None:
            self._prometheus.close()

    def ask(self, resources: Mapping[Key, Object]) -> dict[Key, ProviderAnswers]:
        """What they say of each deployment. Blocks for some seconds at most."""
        self._signatures.forget(resources.keys())
        answers = self._threads.map(self._of, resources.items())
        return dict(zip(resources, answers, strict=True))

    def _of(self, item: tuple[Key, Object]) -> ProviderAnswers:
        key, resource = item
        status = read_status(resource["status"])
        try:
            document = read(resource)
        except TurnoutError:  # then nothing is done for it
            return ProviderAnswers()
        if status.rollout is None or document.spec.rollout is None:
            return ProviderAnswers()
        counted = None
        if document.spec.rollout.evidence == "prometheus":
            counted = self._counted(document, status.rollout)
        rollout = status.rollout
        metrics = self._metrics.read(document, rollout.stable, rollout.canary, status.weight)
        for name, value in metrics.items():
            if isinstance(value, str):
                log.warning("a metric can't be read", extra={"deployment": document.key, "metric": name, "why": value})
        signatures, asked = self._signatures.of(key, resource, status)
        return ProviderAnswers(counted, metrics, signatures, asked)

    def _counted(self, document: ModelDeployment, rollout: RolloutStatus) -> Counted:
        try:
            if self._prometheus is None:
                raise Unread("no Prometheus is known (--prometheus)")
            return Counted(self._prometheus.counts(document, rollout.stable, rollout.canary))
        except Unread as error:
            return Counted(unread=(f"Prometheus ({error})",))
