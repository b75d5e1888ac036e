"""Hears what gateways and model servers say of the rollouts that are under way, beside the operator's loop.

What was heard is kept with its time, and counts as unread once it is old. The deployments are looked at again after
each round, so that their rollouts go on at its pace; the API server is not asked for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from deployer.kubernetes.cache import Cache
from deployer.kubernetes.gateways import addresses
from deployer.kubernetes.kinds import Key, Object
from deployer.kubernetes.queue import Queue
from deployer.kubernetes.sight import Heard, is_under_way
from deployer.kubernetes.signatures import Signatures
from deployer.kubernetes.store import Store
from deployer.rollout.gateways import Gateways, Reports

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two rounds."""
STALE = 3 * PERIOD
"""Seconds after which what was heard counts as unread."""


class Lookout:
    """`gateways` are the EndpointSlices of the gateways' admin Service; None: nobody has said which it is. `leads`:
    whether this operator is the active one: another one asks nobody."""

    def __init__(self, store: Store, queue: Queue, gateways: Cache | None, leads: Callable[[], bool]) -> None:
        self._store = store
        self._queue = queue
        self._slices = gateways
        self._leads = leads
        self._gateways = Gateways()
        self._signatures = Signatures(store)
        self._lock = threading.Lock()
        self._heard: dict[Key, tuple[float, Heard]] = {}
        self._whole: dict[Key, float] = {}
        """When all of a deployment's sources were last read, or its rollout was first seen."""
        self._unread: frozenset[str] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        if self._slices is not None:
            self._slices.start()
        self._thread.start()

    def stop(self) -> None:
        """End after the round at hand."""
        self._stopping.set()
        if self._slices is not None:
            self._slices.stop()

    def heard(self, key: Key) -> Heard:
        """What was heard last of a deployment."""
        with self._lock:
            at, heard = self._heard.get(key, (0.0, _NOTHING))
        if time.monotonic() - at > STALE:
            return replace(heard, readings=(), unread=_NOTHING.unread, in_force=None, metrics={})
        return heard

    def silences(self) -> dict[Key, float]:
        """For each deployment with a rollout under way the seconds since all its sources were read."""
        now = time.monotonic()
        with self._lock:
            return {key: now - at for key, at in self._whole.items()}

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD):
            try:
                self._round()
            except Exception:  # what is kept grows old, so rollouts hold
                log.exception("a defect in asking for evidence")

    def _round(self) -> None:
        leads = self._store.synced and self._leads()
        resources = {_key(found): found for found in self._store.resources() if is_under_way(found)} if leads else {}
        self._signatures.forget(set(resources))
        reports = self._asked(list(resources)) if resources else Reports()
        heard = {key: self._of(key, resource, reports) for key, resource in resources.items()}
        now = time.monotonic()
        with self._lock:
            self._heard = {key: (now, said) for key, said in heard.items()}
            self._whole = {key: self._whole.get(key, now) if said.unread else now for key, said in heard.items()}
        for key in resources:
            self._queue.add(key, urgent=True)

    def _asked(self, keys: list[Key]) -> Reports:
        slices = [piece for of in self._slices.deployments() for piece in self._slices.of(of)] if self._slices else []
        found = addresses(slices)
        reports = self._gateways.read(found, ["/".join(key) for key in keys])
        unread = {address: why for address, why in reports.unread.items() if found[address]}
        for address in unread.keys() - self._unread:
            log.warning("a gateway can't be asked for evidence", extra={"gateway": address, "error": unread[address]})
        self._unread = frozenset(unread)
        return Reports(reports.said, unread)

    def _of(self, key: Key, resource: Object, reports: Reports) -> Heard:
        name = "/".join(key)
        readings, in_force = reports.of(name), reports.in_force(name)
        unread = tuple(f"the gateway {address}" for address in reports.unread)
        if self._slices is None:
            unread = ("no gateway is known (--gateways), so none",)
        elif not readings and not unread:
            unread = ("no gateway serves, so none",)
        known, asked = self._signatures.of(key, resource)
        return Heard(readings, unread, in_force, signatures=known, asked=asked)


_NOTHING = Heard(unread=("the gateways",))


def _key(resource: Object) -> Key:
    metadata = resource["metadata"]
    return Key(metadata["namespace"], metadata["name"])
