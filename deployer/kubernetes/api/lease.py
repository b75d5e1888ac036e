"""Which of several operators is the active one: the holder of a Lease.

Not the `kubernetes` package's leader election: it goes by the wall clock, ends the process or its thread for what the
network may do at any time, and does not say in the end whether the lease is still ours.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from deployer.kubernetes.api.client import ApiError, Client, Unreachable
from deployer.kubernetes.objects.kinds import LEASE

log = logging.getLogger(__name__)

DURATION = 15.0
"""Seconds without a renewal after which another may take the lease: what Kubernetes' own components have."""
DEADLINE = 10.0
"""Seconds after its last renewal was sent for which the holder counts on it: shorter, so that two never overlap."""
PERIOD = 3.0
"""Seconds between renewals, and between looks of those who wait."""


class Lease:
    """`taken` is called, from the lease's own thread, each time that it becomes ours."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str, taken: Callable[[], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._taken = taken
        self._until = 0.0
        self._seen: tuple[object, float] = (None, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def held(self) -> bool:
        """Whether the lease is ours at this moment. To be asked before each write."""
        return time.monotonic() < self._until

    def stop(self) -> None:
        """Give the lease up, so that another takes it at once."""
        self._stop.set()
        self._thread.join(DEADLINE)
        if self.held():
            self._until = 0.0
            try:
                lease = self._client.get(LEASE, self._namespace, self._name)
                if lease and lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    self._client.replace(LEASE, lease)
            except (ApiError, Unreachable) as error:
                log.warning("the lease could not be given up; it runs out", extra={"error": error})

    def _run(self) -> None:
        while not self._stop.is_set():
            began, held = time.monotonic(), self.held()
            try:
                if self._renew(began):
                    self._until = began + DEADLINE
                    if not held:
                        log.info("this operator is the active one")
                        self._taken()
                elif held:
                    self._until = 0.0
                    log.warning("another operator has taken the lease")
            except (ApiError, Unreachable) as error:
                log.warning("the lease could not be renewed", extra={"error": error})
            self._stop.wait(PERIOD * random.uniform(0.8, 1))

    def _renew(self, began: float) -> bool:
        """Whether the lease is ours now.

        Raises:
            ApiError, Unreachable: it is not known.
        """
        lease = self._client.get(LEASE, self._namespace, self._name)
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = {"holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION), "renewTime": now}
        try:
            if lease is None:
                made = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "spec": {**mine, "acquireTime": now}}
                metadata = {"name": self._name, "namespace": self._namespace}
                self._client.create(LEASE, {**made, "metadata": metadata})
                return True
            spec = lease.setdefault("spec", {})
            holder = spec.get("holderIdentity")
            # By our own clock since we saw it so first: clocks of two machines don't agree.
            seen = (holder, spec.get("renewTime"))
            if seen != self._seen[0]:
                self._seen = (seen, began)
            if holder and holder != self._identity and began < self._seen[1] + spec["leaseDurationSeconds"]:
                return False
            if holder != self._identity:
                mine |= {"acquireTime": now, "leaseTransitions": spec.get("leaseTransitions", 0) + 1}
            self._client.replace(LEASE, {**lease, "spec": {**spec, **mine}})
        except ApiError as error:
            if error.status == 409:  # another was faster
                return False
            raise
        return True
