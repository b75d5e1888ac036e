"""Route tables from a cluster: ModelDeployments and EndpointSlices, followed at the API server.

While it can't be reached the last known table stays, however long that is, also over a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from gateway.contract.route_table import RouteTable
from gateway.discovery import endpoint_probe
from gateway.discovery.credentials import Credentials
from gateway.discovery.reflector import Reflector
from gateway.discovery.route_composer import Composer
from gateway.discovery.snapshot import TableSnapshot
from gateway.discovery.source import listed
from gateway.tasks import spawn

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""Between two tables: changes often come together, and each table costs each worker a little."""

SAVE_SECONDS = 2.0
"""Between two saves: a table that is seconds old is as good for a restart."""

SELECTOR = "turnout.dev/deployment"
"""An EndpointSlice bears the labels of its Service, and ours bear this one."""


class KubernetesTables:
    def __init__(self, access: Credentials, namespace: str | None, saved: TableSnapshot) -> None:
        """`namespace`: the only one to follow; all where it is None."""
        self.name = access.server
        self.table: RouteTable | None = None
        self.read_at: float | None = None
        self._saved = saved
        self._before = saved.read()
        self._composer = composer = Composer(None if self._before is None else self._before[0])
        self._unsaved: RouteTable | None = None
        self._news = asyncio.Event()
        within = "" if namespace is None else f"/namespaces/{namespace}"
        routes = f"/apis/turnout.dev/v1alpha1{within}/modeldeployments"
        slices = f"/apis/discovery.k8s.io/v1{within}/endpointslices"
        self._reflectors = (
            Reflector(access, routes, "", composer.deployments, composer.deployment, self._news.set),
            Reflector(access, slices, SELECTOR, composer.slices, composer.slice, self._news.set),
        )

    @property
    def connected(self) -> bool:
        return all(reflector.connected for reflector in self._reflectors)

    @property
    def heard_at(self) -> float | None:
        times = [reflector.heard_at for reflector in self._reflectors if reflector.heard_at is not None]
        return min(times) if len(times) == len(self._reflectors) else None

    @property
    def problem(self) -> str | None:
        lost = [reflector.problem for reflector in self._reflectors if reflector.problem is not None]
        return "; ".join(filter(None, (*lost, listed(self.refused)))) or None

    @property
    def refused(self) -> Mapping[str, str]:
        return {"/".join(key): reason for key, reason in self._composer.problems.items()}

    @property
    def rejected(self) -> int:
        return self._composer.rejected

    @property
    def rejecting(self) -> bool:
        return bool(self._composer.problems)

    async def watch(self, on_table: Callable[[RouteTable], None]) -> None:
        tasks = [spawn(reflector.follow(), "discovery-reflector") for reflector in self._reflectors]
        tasks.append(spawn(self._save(), "discovery-save"))
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._all_listed:
                    self._compose(on_table)
                elif self.table is None and self._before is not None and any(one.problem for one in self._reflectors):
                    await self._recall(*self._before, on_table)
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            if self._unsaved is not None:
                self._saved.write(self._unsaved)

    @property
    def _all_listed(self) -> bool:
        return all(reflector.listed for reflector in self._reflectors)

    def _compose(self, on_table: Callable[[RouteTable], None]) -> None:
        if (new := self._composer.compose()) is not None:
            self.table = self._unsaved = new
            self.read_at = time.time()
            on_table(new)

    async def _recall(self, saved: RouteTable, at: float, on_table: Callable[[RouteTable], None]) -> None:
        found, others = await endpoint_probe.verified(saved)
        if self._all_listed:
            return  # it came back meanwhile
        self.table, self.read_at = found, at
        about = {"revision": found.revision, "answer_for_something_else": others[:20], "left_out": len(others)}
        log.warning("serving by the last known route table: the API server can't be reached", extra=about)
        on_table(found)

    async def _save(self) -> None:
        while True:
            if (new := self._unsaved) is not None:
                self._unsaved = None
                await asyncio.to_thread(self._saved.write, new)
            await asyncio.sleep(SAVE_SECONDS)
