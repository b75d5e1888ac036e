"""One container of a pod: started, probed, started again where it ends, and ended when asked to."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.tasks import spawn
from tests.cluster.rig import images
from tests.cluster.rig.agent import probes
from tests.cluster.rig.agent.api import Api, Object, Refused, Unreachable, timestamp
from tests.cluster.rig.agent.environment import environment
from tests.cluster.rig.agent.sandbox import Network, Process, SandboxFailed
from tests.cluster.rig.agent.specification import NotAllowed, specification
from tests.cluster.rig.agent.volumes import NotYet, Volumes

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
"""Seconds before a container is started for the third time, and at most; the second start follows at once.
A tenth of a kubelet's, so that tests see several."""
_STABLE = 60.0
"""Seconds a container must run for its delay to begin anew."""
_AFTER_HOOK = 2.0
"""Seconds a container gets to end after a preStop hook that used up all of its time; a kubelet's."""


@dataclass
class Surroundings:
    """What the containers of a pod share."""

    api: Api
    pod: Object
    network: Network
    volumes: Volumes
    address: str
    folder: Path
    """For the pod alone; ends with it."""
    logs: Path
    hosts: Path
    """Its /etc/hosts."""
    changed: Callable[[], None]
    event: Callable[[str, str, str], None]
    """Type, reason, message."""


class Container:
    """`policy`: Always, OnFailure or Never."""

    def __init__(self, spec: Object, policy: str, waiting: str = "ContainerCreating") -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.policy = policy
        self.state: Object = {"waiting": {"reason": waiting}}
        self.last: Object = {}
        self.restarts = 0
        self.up = asyncio.Event()
        """Set while it runs and its startup probe, if any, has succeeded."""
        self.ready = False
        self.process: Process | None = None
        self._id = ""
        self._stopping = self._ending = False
        self._task: asyncio.Task[None] | None = None
        self._began = ""

    def begin(self, around: Surroundings) -> asyncio.Task[None]:
        """Run it; the task ends when the container is over for good."""
        self._around = around
        self._task = spawn(self._run(), f"container {self.name}")
        return self._task

    async def stop(self, deadline: float) -> None:
        """End it by `deadline` of the loop's clock; it isn't started again."""
        self._stopping = True
        if self._task is not None:
            if self.process is None:
                self._task.cancel()
            else:
                await self._end(self.process, deadline)
            await asyncio.wait({self._task})

    def kill(self) -> None:
        self._stopping = True
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    @property
    def code(self) -> int | None:
        """The exit code, if it has ended and isn't about to be started again."""
        code: int | None = self.state.get("terminated", {}).get("exitCode")
        return code

    def status(self) -> Object:
        found = {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": f"rig://{self.spec['image']}" if self._id else "",
            "ready": self.ready,
            "started": self.up.is_set(),
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
        }
        return found | ({"containerID": self._id} if self._id else {})

    async def _run(self) -> None:
        delay = 0.0
        while True:
            began = time.monotonic()
            process = await self._started()
            if process is not None:
                await self._live(process)
            if self._stopping or self.policy == "Never" or (self.policy == "OnFailure" and self.code == 0):
                return
            if time.monotonic() - began > _STABLE:
                delay = 0.0
            self.last = self.state
            if delay:
                message = f"back-off {delay:.0f}s restarting failed container={self.name}"
                self._wait("CrashLoopBackOff", message)
                self._around.event("Warning", "BackOff", message)
                await asyncio.sleep(delay)
            delay = min(delay * 2 or _FIRST_DELAY, _LONGEST_DELAY)
            self.restarts += 1

    async def _started(self) -> Process | None:
        """The container's process once all that it needs is there; None if its command can't be run."""
        delay = _FIRST_DELAY
        while True:
            try:
                image = await asyncio.to_thread(images.find, self.spec["image"])
                env = await environment(self._around.api, self._around.pod, self.spec, image.env)
                hosts = (str(self._around.hosts), "/etc/hosts", False)
                mounts = [hosts, *self._around.volumes.mounts(self.spec)]
                scratch = self._around.folder / "scratch" / self.name
                scratch.mkdir(parents=True, exist_ok=True)
                launch_spec = specification(self._around.pod, self.spec, image, env, mounts, scratch)
            except images.ImageNotFound as error:
                self._wait("ErrImagePull", str(error))
                self._around.event("Warning", "Failed", f"Failed to pull image: {error}")
                await asyncio.sleep(_FIRST_DELAY)
                self._wait("ImagePullBackOff", f"Back-off pulling image {self.spec['image']!r}")
            except (NotYet, NotAllowed, KeyError) as error:
                self._wait("CreateContainerConfigError", str(error))
                self._around.event("Warning", "Failed", f"Error: {error}")
            except (Unreachable, Refused) as error:
                self._wait("ContainerCreating", str(error))
            else:
                break
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
        self._id = f"rig://{os.urandom(16).hex()}"
        self._began = timestamp()
        try:
            return await Process.start(self._around.network, self._around.logs / self._log, launch_spec)
        except SandboxFailed as error:
            self._terminated(128, "StartError", str(error))
            return None

    @property
    def _log(self) -> str:
        metadata = self._around.pod["metadata"]
        return f"{metadata['namespace']}_{metadata['name']}_{self.name}.log"

    async def _live(self, process: Process) -> None:
        self.process, self._ending = process, False
        if "startupProbe" not in self.spec:
            self._is_up()
        self.state = {"running": {"startedAt": self._began}}
        self._around.changed()
        care = spawn(self._care(process), f"probes of {self.name}")
        try:
            code = await process.wait()
        finally:
            care.cancel()
            self.process = None
            self.up.clear()
            self.ready = False
        self._terminated(code, "Completed" if code == 0 else "Error")

    def _is_up(self) -> None:
        self.up.set()
        self.ready = "readinessProbe" not in self.spec

    async def _care(self, process: Process) -> None:
        """The hook after the start, then the probes."""
        try:
            if hook := self.spec.get("lifecycle", {}).get("postStart"):
                await probes.act(hook, self.spec, self._around.address, process)
        except probes.ActionFailed as error:
            self._around.event("Warning", "FailedPostStartHook", str(error))
            await self._restart(process)
        if "startupProbe" in self.spec:

            def startup(failure: str | None) -> None:
                if failure is None:
                    self._is_up()
                else:
                    self._fatal("Startup", failure, process)

            asking = spawn(self._follow("startupProbe", process, startup), f"startup probe of {self.name}")
            try:
                await self.up.wait()
            finally:
                asking.cancel()
            self._around.changed()
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.spec:
                group.create_task(self._follow("readinessProbe", process, self._readiness))
            if "livenessProbe" in self.spec:

                def liveness(failure: str | None) -> None:
                    if failure is not None:
                        self._fatal("Liveness", failure, process)

                group.create_task(self._follow("livenessProbe", process, liveness))

    async def _follow(self, kind: str, process: Process, tell: Callable[[str | None], None]) -> None:
        await probes.follow(self.spec[kind], self.spec, self._around.address, process, tell)

    def _readiness(self, failure: str | None) -> None:
        if failure is not None:
            self._around.event("Warning", "Unhealthy", f"Readiness probe failed: {failure}")
        if self.process is not None and self.ready != (failure is None):
            self.ready = failure is None
            self._around.changed()

    def _fatal(self, kind: str, failure: str, process: Process) -> None:
        if not self._stopping:
            self._around.event("Warning", "Unhealthy", f"{kind} probe failed: {failure}")
            self._around.event("Normal", "Killing", f"Container {self.name} failed {kind.lower()} probe")
            spawn(self._restart(process), f"end of {self.name}")

    async def _restart(self, process: Process) -> None:
        grace = self._around.pod["spec"].get("terminationGracePeriodSeconds", 30)
        await self._end(process, asyncio.get_running_loop().time() + grace)

    async def _end(self, process: Process, deadline: float) -> None:
        """The hook, SIGTERM, and SIGKILL at the deadline. The hook is broken off when the container ends."""
        first, self._ending = not self._ending, True
        if first and (hook := self.spec.get("lifecycle", {}).get("preStop")):
            try:
                async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                    hooked = group.create_task(self._pre_stop(hook, process))
                    ended = group.create_task(process.wait())
                    hooked.add_done_callback(lambda _: ended.cancel())
                    ended.add_done_callback(lambda _: hooked.cancel())
            except TimeoutError:
                deadline = asyncio.get_running_loop().time() + _AFTER_HOOK
        if first:
            process.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout_at(deadline):
                await process.wait()
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.wait()

    async def _pre_stop(self, hook: Object, process: Process) -> None:
        try:
            await probes.act(hook, self.spec, self._around.address, process)
        except probes.ActionFailed as error:
            self._around.event("Warning", "FailedPreStopHook", str(error))

    def _wait(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._around.changed()

    def _terminated(self, code: int, reason: str, message: str = "") -> None:
        ended: dict[str, Any] = {"exitCode": code, "reason": reason, "startedAt": self._began}
        ended |= {"finishedAt": timestamp(), "containerID": self._id}
        self.state = {"terminated": ended | ({"message": message} if message else {})}
        self._around.changed()
