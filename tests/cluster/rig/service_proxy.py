"""The addresses of Services: `python -m tests.cluster.rig.service_proxy KUBECONFIG`, in the rig's network namespace.

Where a Service has a ready endpoint, its address is listened on, and each connection goes to one of them by chance;
where it has none, connections are refused. Those that are open stay as they are, whatever changes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable, Mapping
from pathlib import Path

import uvloop

from tests.cluster.rig.agent.api import Api, Object
from tests.cluster.rig.relay import Address, relay

log = logging.getLogger(__name__)


def endpoints(services: Iterable[Object], slices: Iterable[Object]) -> dict[Address, list[Address]]:
    """Those that are ready, for each address of a Service that has any; TCP alone."""
    found: dict[tuple[str, str, str | None], set[Address]] = {}
    for one in slices:
        service = one["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        ready = [
            address
            for endpoint in one.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
        ]
        for port in one.get("ports") or []:
            key = (one["metadata"]["namespace"], service, port.get("name") or None)
            found.setdefault(key, set()).update((address, port["port"]) for address in ready)
    table = {}
    for one in services:
        metadata, spec = one["metadata"], one["spec"]
        for port in spec.get("ports", []):
            ready_ones = found.get((metadata["namespace"], metadata["name"], port.get("name")))
            if ready_ones and port.get("protocol", "TCP") == "TCP" and spec.get("clusterIP", "None") != "None":
                table[spec["clusterIP"], port["port"]] = sorted(ready_ones)
    return table


class ServiceProxy:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._services: dict[str, Object] = {}
        self._slices: dict[str, Object] = {}
        self._table: Mapping[Address, list[Address]] = {}
        self._listeners: dict[Address, asyncio.Server] = {}
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow("/api/v1/services", self._services))
            both.create_task(self._follow("/apis/discovery.k8s.io/v1/endpointslices", self._slices))

    async def _follow(self, path: str, objects: dict[str, Object]) -> None:
        async for kind, found in self._api.follow(path, ""):
            if kind == "ALL":
                objects.clear()
            for one in found:
                if kind == "DELETED":
                    objects.pop(one["metadata"]["uid"], None)
                else:
                    objects[one["metadata"]["uid"]] = one
            await self._listen()

    async def _listen(self) -> None:
        async with self._changing:
            self._table = endpoints(self._services.values(), self._slices.values())
            for address in self._listeners.keys() - self._table.keys():
                self._listeners.pop(address).close()
            for address in self._table.keys() - self._listeners.keys():
                try:
                    self._listeners[address] = await self._listener(address)
                except OSError as error:
                    log.error("%s:%d can't be listened on: %s", *address, error)

    async def _listener(self, service: Address) -> asyncio.Server:
        async def accepted(reader: StreamReader, writer: StreamWriter) -> None:
            ready = self._table.get(service)
            if ready:
                await relay(reader, writer, random.choice(ready))
            else:
                writer.transport.abort()

        return await asyncio.start_server(accepted, *service, backlog=1024)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    await ServiceProxy(Api(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    uvloop.run(main())
