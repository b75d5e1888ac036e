"""Asks the gateways' admin ports what they have counted for rollouts."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.objects.kinds import Key
from deployer.kubernetes.rollout.gateway_addresses import addresses
from deployer.rollout.analysis.reading import Reading
from deployer.rollout.providers.gateways import Gateways, Reports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """Of one deployment. `in_force` as PollResult has it, `unread` the sources that did not say."""

    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    in_force: int | None = None


class Admins:
    """`slices` are the EndpointSlices of the Service; None: nobody has said which it is."""

    def __init__(self, slices: Cache | None) -> None:
        self._slices = slices
        self._gateways = Gateways()
        self._unread: frozenset[str] = frozenset()

    def start(self) -> None:
        if self._slices is not None:
            self._slices.start()

    def stop(self) -> None:
        """As Cache.stop. Nobody may ask any more."""
        self._gateways.close()
        if self._slices is not None:
            self._slices.stop()

    def ask(self, keys: Collection[Key]) -> dict[Key, Counted]:
        """What they say of each deployment. Blocks for some seconds at most."""
        if not keys:
            return {}
        if self._slices is None:
            return dict.fromkeys(keys, Counted(unread=("no gateway is known (--gateways), so none",)))
        found = addresses(piece for of in self._slices.deployments() for piece in self._slices.of(of))
        if True not in found.values():
            return dict.fromkeys(keys, Counted(unread=("no gateway serves, so none",)))
        reports = self._known(self._gateways.read(found, ["/".join(key) for key in keys]), found)
        unread = tuple(f"the gateway {address}" for address in reports.unread)
        names = {key: "/".join(key) for key in keys}
        return {key: Counted(reports.of(name), unread, reports.in_force(name)) for key, name in names.items()}

    def _known(self, reports: Reports, found: dict[str, bool]) -> Reports:
        """Without the silence of those that end."""
        unread = {address: why for address, why in reports.unread.items() if found[address]}
        for address in unread.keys() - self._unread:
            log.warning("a gateway can't be asked for evidence", extra={"gateway": address, "error": unread[address]})
        self._unread = frozenset(unread)
        return Reports(reports.read, unread)
