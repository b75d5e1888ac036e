"""One pod's life: network, volumes, init containers, containers, and the end; and what the API server is told of it."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from gateway.tasks import spawn
from tests.cluster.rig.agent.api import AGAIN, Api, Object, Refused, Unreachable, timestamp
from tests.cluster.rig.agent.container import Container, Surroundings
from tests.cluster.rig.agent.events import Events
from tests.cluster.rig.agent.names import Names
from tests.cluster.rig.agent.sandbox import Network, SandboxFailed
from tests.cluster.rig.agent.specification import hostname
from tests.cluster.rig.agent.status import conditions, differs, phase
from tests.cluster.rig.agent.volumes import NotYet, Volumes

log = logging.getLogger(__name__)


class Pod:
    """A pod bound to this node.

    `folder` is the agent's. In it, `pods/NAMESPACE_NAME.json` tells of the pod's running containers:
    `{"namespace", "name", "uid", "containers": {NAME: {"pid": of its first process}}}`.
    """

    def __init__(self, api: Api, names: Names, pod: Object, address: str, host: str, folder: Path) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.address = address
        self._api = api
        self._names = names
        self._pod = pod
        self._host = host
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._uid: str = metadata["uid"]
        self._folder = folder / "pods" / self._uid
        self._record = folder / "pods" / f"{metadata['namespace']}_{metadata['name']}.json"
        self._logs = folder / "logs"
        self._hosts = self._folder / "hosts"
        self._events = Events(api, pod)
        policy: str = spec.get("restartPolicy", "Always")
        first = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self._containers = [Container(one, policy, first) for one in spec["containers"]]
        self._inits = [
            Container(one, one.get("restartPolicy", "Never" if policy == "Never" else "OnFailure"), first)
            for one in spec.get("initContainers", [])
        ]
        self._network: Network | None = None
        self._initialized = self._init_failed = False
        self._ended_before = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        self._changed = asyncio.Event()
        self._end = asyncio.Event()
        self._unwanted = False

    def update(self, pod: Object) -> None:
        """What the API server has now."""
        self._pod = pod
        self._changed.set()
        if pod["metadata"].get("deletionTimestamp"):
            self._end.set()

    def kill(self) -> None:
        """End it at once: the API server no longer knows it, or this node ends."""
        self._unwanted = True
        self._end.set()
        for container in (*self._containers, *self._inits):
            container.kill()

    async def run(self) -> None:
        """Until the pod has ended and the API server has let it go."""
        telling = spawn(self._tell(), f"status of {self._path}")
        living = spawn(self._live(), f"life of {self._path}")
        self.update(self._pod)
        await self._end.wait()
        grace = 0 if self._unwanted else self._pod["metadata"].get("deletionGracePeriodSeconds", 0)
        deadline = asyncio.get_running_loop().time() + grace
        # What has ended makes the next one begin: first nothing more is to.
        living.cancel()
        await asyncio.wait({living})
        helpers = [one for one in self._inits if one.policy == "Always"]
        await self._stop([*self._containers, *(one for one in self._inits if one not in helpers)], deadline)
        await self._stop(helpers, deadline)
        if self._network is not None:
            await self._network.remove()
        telling.cancel()
        await asyncio.wait({telling})
        self._names.remove(self._hosts)
        self._record.unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        if not self._unwanted:
            await self._let_go()

    async def _stop(self, containers: Sequence[Container], deadline: float) -> None:
        await asyncio.gather(*(one.stop(deadline) for one in containers))

    async def _live(self) -> None:
        if self._ended_before:
            return
        volumes = Volumes(self._api, self._pod, self._folder / "volumes")
        while True:
            try:
                if self._network is None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._names.add(self._hosts, f"127.0.0.1 localhost\n{self.address} {hostname(self._pod)}\n")
                    self._network = await Network.make(self.address, f"v{self._uid[:8]}{self._uid[-4:]}")
                await volumes.make()
                break
            except (NotYet, Refused) as error:
                self._events.add("Warning", "FailedMount", str(error))
            except SandboxFailed as error:
                self._events.add("Warning", "FailedCreatePodSandBox", str(error))
            except Unreachable as error:
                log.info("%s waits: %s", self._path, error)
            await asyncio.sleep(AGAIN)
        addresses = {"podIP": self.address, "podIPs": [{"ip": self.address}], "hostIP": self._host}
        addresses |= {"hostIPs": [{"ip": self._host}]}
        around = Surroundings(
            api=self._api,
            # What the API server has may still be without them.
            pod={**self._pod, "status": addresses},
            network=self._network,
            volumes=volumes,
            address=self.address,
            folder=self._folder,
            logs=self._logs,
            hosts=self._hosts,
            changed=self._container_changed,
            event=self._events.add,
        )
        self._container_changed()
        for container in self._inits:
            task = container.begin(around)
            if container.policy == "Always":
                await container.up.wait()
            else:
                await asyncio.wait({task})
                if container.code != 0:
                    self._init_failed = True
                    break
                container.ready = True
        else:
            self._initialized = True
            await asyncio.wait({container.begin(around) for container in self._containers})
        deadline = asyncio.get_running_loop().time() + self._pod["spec"].get("terminationGracePeriodSeconds", 30)
        await self._stop([one for one in self._inits if one.policy == "Always"], deadline)
        self._container_changed()

    def _container_changed(self) -> None:
        running = {
            one.name: {"pid": one.process.pid} for one in (*self._inits, *self._containers) if one.process is not None
        }
        metadata = self._pod["metadata"]
        record = {"namespace": metadata["namespace"], "name": metadata["name"], "uid": self._uid, "containers": running}
        partial = self._record.with_suffix(".partial")
        partial.write_text(json.dumps(record))
        partial.rename(self._record)
        self._changed.set()

    def _status(self) -> Object:
        now = phase(self._containers, self._initialized, self._init_failed)
        found: Object = {
            "phase": now,
            "observedGeneration": self._pod["metadata"].get("generation"),
            "hostIP": self._host,
            "hostIPs": [{"ip": self._host}],
            "conditions": conditions(
                self._pod, self._containers, now, self._network is not None, self._initialized, timestamp()
            ),
            "containerStatuses": [one.status() for one in self._containers],
            "initContainerStatuses": [one.status() for one in self._inits],
        }
        if self._network is not None:
            found |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        if not self._pod.get("status", {}).get("startTime"):
            found["startTime"] = timestamp()
        return found

    async def _tell(self) -> None:
        """Patch the status whenever the API server has another: also where somebody else changed it."""
        while not self._ended_before:
            await self._changed.wait()
            self._changed.clear()
            status = self._status()
            if not differs(status, self._pod.get("status", {})):
                continue
            try:
                self._pod = await self._api.patch(
                    f"{self._path}/status", {"metadata": {"uid": self._uid}, "status": status}
                )
            except Refused as error:
                if error.status not in (404, 409):
                    log.error("%s", error)
            except Unreachable as error:
                log.info("%s", error)
                await asyncio.sleep(AGAIN)
                self._changed.set()

    async def _let_go(self) -> None:
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._uid}}
        status = {"metadata": {"uid": self._uid}, "status": self._status()}
        while True:
            try:
                if not self._ended_before:
                    await self._api.patch(f"{self._path}/status", status)
                await self._api.delete(self._path, body)
                return
            except Refused as error:
                if error.status in (404, 409):
                    return
                log.error("%s", error)
            except Unreachable as error:
                log.info("%s", error)
            await asyncio.sleep(AGAIN)
