"""The operator: the deployer's loop over a cluster, with its Lease, its health and its metrics."""

from __future__ import annotations

import logging
import signal
import socket
import time
import uuid
from types import FrameType

from deployer import reconcile
from deployer.kubernetes import health
from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.api.client import Client, configuration
from deployer.kubernetes.api.lease import Lease
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.metrics import Metrics, RolloutFigures
from deployer.kubernetes.objects.kinds import ENDPOINT_SLICE, Key
from deployer.kubernetes.objects.names import LEASE
from deployer.kubernetes.poll.poller import Poller
from deployer.kubernetes.status.version_health import SERVICE_LABEL
from deployer.kubernetes.target import KubernetesTarget
from deployer.rollout.notify.webhook import Webhooks

log = logging.getLogger(__name__)

STUCK = 120.0
"""Seconds for one round. It has a few requests, each with a time limit of its own."""
DEAF = 300.0
"""Seconds without a word from a watch, or with no request answered, after which a new process may do better: one that
reads its credentials anew. A watch that is silent is begun anew long before."""


class Operator:
    """`namespace`: the one to look after; None: all. `lease_namespace`: None: our own. `gateways`: the Service with
    the gateways' admin ports."""

    def __init__(
        self, namespace: str | None, lease_namespace: str | None, gateways: Key | None, prometheus: str | None
    ) -> None:
        """
        Raises:
            TurnoutError: there is no way to a cluster.
        """
        how, home = configuration()
        self._metrics = Metrics()
        client = Client(how, self._metrics.requested)
        queue = Queue()
        self._store = Store(client, namespace, queue)
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lease = Lease(client, lease_namespace or home, LEASE, identity, self._store.look_again)
        self._notices = Webhooks()
        self._poller = Poller(self._store, queue, _slices(client, gateways), prometheus, self._lease.held)
        self._target = KubernetesTarget(
            client, self._store, queue, self._lease, self._poller, self._notices, prometheus, self._metrics
        )
        self._metrics.look(self._lease.held, queue.__len__, self._phases, self._store.silences, self._rollouts)

    def run(self, host: str, port: int) -> None:
        """Until SIGTERM or SIGINT.

        Raises:
            OSError: the port can't be had.
        """
        bound = health.serve(host, port, self._live, self._ready, self._metrics.registry)
        log.info("the operator begins", extra={"host": host, "port": bound})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self._store.start()
        self._lease.start()
        self._poller.start()
        reconcile.run(self._target, 0)
        self._lease.stop()
        self._poller.stop()
        self._notices.close()
        self._store.stop()
        log.info("the operator has ended")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._target.stop()

    def _live(self) -> tuple[bool, str]:
        now = time.monotonic()
        if now - self._target.moved > STUCK:
            return False, f"a round has taken {now - self._target.moved:.0f} s"
        since = self._target.failing_since
        if since is not None and now - since > DEAF:
            return False, f"the API server has answered nothing for {now - since:.0f} s"
        for kind, silence in self._store.silences().items():
            if silence > DEAF:
                return False, f"the watch of {kind} has told nothing for {silence:.0f} s"
        return True, "ok"

    def _ready(self) -> tuple[bool, str]:
        if not self._store.synced:
            return False, "what the cluster has is being read"
        return True, "active" if self._lease.held() else "standing by: another operator is active"

    def _rollouts(self) -> dict[Key, RolloutFigures]:
        silences, found = self._poller.silences(), {}
        for resource in self._store.resources():
            status, metadata = resource.get("status", {}), resource["metadata"]
            if "rollout" in status:
                key = Key(metadata["namespace"], metadata["name"])
                overdue = any(condition["type"] == "RolloutOverdue" for condition in status.get("conditions", ()))
                found[key] = RolloutFigures(status["rollout"]["phase"], overdue, silences.get(key))
        return found

    def _phases(self) -> list[str]:
        return [resource.get("status", {}).get("phase", "Pending") for resource in self._store.resources()]


def _slices(client: Client, service: Key | None) -> Cache | None:
    """What is known of the addresses behind that Service."""
    if service is None:
        return None
    selector = f"{SERVICE_LABEL}={service.name}"
    return Cache(client, ENDPOINT_SLICE, service.namespace, selector, lambda slice: service, lambda key: None)
