"""How each version of a deployment does, from what the cluster says of its objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.objects.names import REST_PORT, VERSION_LABEL

WORKLOADS = ("Deployment", "SeldonDeployment")
SERVICE_LABEL = "kubernetes.io/service-name"
_PULL = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASHES = 2
"""Ends of a container in a row after which it counts as one that can't run."""


@dataclass(frozen=True)
class Trouble:
    """What keeps a version from being as declared: a word for programs, and words for people.

    Neither holds what changes from moment to moment, such as a pod's name or a pause: the status would be written anew
    for each.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class VersionFacts:
    """`ready` and `desired` are replicas. `settled`: no pod is being replaced by another. `failures`: how often
    containers of its pods have ended by themselves, and how the last one did."""

    name: str
    ready: int
    desired: int
    settled: bool
    unschedulable: str | None
    trouble: Trouble | None
    failures: tuple[int, str] = (0, "")


def look(
    version: str, service: str, objects: Sequence[Object], slices: Sequence[Object], pods: Sequence[Object]
) -> VersionFacts:
    """How the version does; `objects`, `slices` and `pods` are all those of its deployment."""
    workload = next((o for o in objects if o["kind"] in WORKLOADS and is_of(o, version)), None)
    own = [pod for pod in pods if is_of(pod, version) and "deletionTimestamp" not in pod["metadata"]]
    ready = len(ready_endpoints(service, slices))
    if workload is None:
        return VersionFacts(version, ready, 0, False, None, None)
    if workload["kind"] == "SeldonDeployment":
        desired, settled, trouble = _seldon(workload)
    else:
        desired, settled, trouble = _deployment(workload)
    in_pods = next((found for pod in own for found in _troubles(pod)), None)
    return VersionFacts(version, ready, desired, settled, _unschedulable(own), in_pods or trouble, _failures(own))


def is_of(resource: Object, version: str) -> bool:
    """Whether the object belongs to that version."""
    return bool(resource["metadata"].get("labels", {}).get(VERSION_LABEL) == version)


def ready_endpoints(service: str, slices: Iterable[Object]) -> set[str]:
    """The addresses behind a Service that take requests; one may stand in several slices."""
    return {
        endpoint["addresses"][0]
        for piece in slices
        if piece["metadata"].get("labels", {}).get(SERVICE_LABEL) == service
        for endpoint in piece.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready") is not False
    }


def rest_address(service: str, slices: Iterable[Object]) -> tuple[str, int] | None:
    """Host and REST port of a server behind a Service that takes requests; None if there is none."""
    for piece in slices:
        port = next((port["port"] for port in piece.get("ports") or () if port.get("name") == REST_PORT), None)
        ready = sorted(ready_endpoints(service, [piece]))
        if port is not None and ready:
            return ready[0], port
    return None


def is_available(workload: Object) -> bool:
    """Whether the workload says that it has a replica that answers."""
    status = workload.get("status", {})
    return bool(status.get("availableReplicas", 0) > 0 or status.get("state") == "Available")


def _deployment(workload: Object) -> tuple[int, bool, Trouble | None]:
    status, desired = workload.get("status", {}), workload["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    settled = observed and status.get("replicas", 0) == status.get("updatedReplicas", 0) > 0
    trouble = None
    for condition in status.get("conditions", ()) if observed else ():
        match condition["type"], condition["status"]:
            case ("Progressing", "False") | ("ReplicaFailure", "True"):
                trouble = Trouble(condition.get("reason", condition["type"]), condition.get("message", ""))
    return desired, settled, trouble


def _seldon(workload: Object) -> tuple[int, bool, Trouble | None]:
    status = workload.get("status", {})
    replicas = sum(part.get("replicas", 0) for part in status.get("deploymentStatus", {}).values())
    state = status.get("state", "")
    trouble = Trouble("SeldonFailed", status.get("description") or "Seldon's operator gives no reason")
    return replicas, state == "Available", trouble if state == "Failed" else None


def _unschedulable(pods: Iterable[Object]) -> str | None:
    for pod in pods:
        for condition in pod["status"].get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return str(condition.get("message", "no node takes the pod"))
    return None


def _troubles(pod: Object) -> Iterator[Trouble]:
    status = pod["status"]
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting", {})
        reason, name = waiting.get("reason", ""), container["name"]
        if reason in _PULL:
            yield Trouble("ImagePullBackOff", f"the image {container['image']} of container {name} can't be pulled")
        elif reason in _CONFIG:
            yield Trouble(reason, f"container {name} can't be started: {waiting.get('message', reason)}")
        elif not container.get("ready") and container.get("restartCount", 0) >= _CRASHES:
            yield Trouble("CrashLoopBackOff", f"container {name} ends again and again{_last(container)}")


def _failures(pods: Iterable[Object]) -> tuple[int, str]:
    """How often the container has ended by itself that did so most often, and in which way the one did that was last.

    Not how often all have: a machine that starts anew ends many at once, and that is nothing of the version's. First
    containers that are done have not.
    """
    count, latest, reason = 0, "", ""
    for pod in pods:
        status = pod["status"]
        for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            state = container.get("state", {})
            down = state.get("terminated", {}).get("exitCode", 0) != 0
            waits = state.get("waiting", {}).get("reason") == "CrashLoopBackOff"
            times = container.get("restartCount", 0) + (down or waits)
            count = max(count, times)
            ended = state["terminated"] if down else container.get("lastState", {}).get("terminated")
            if times and ended and (when := ended.get("finishedAt") or "") >= latest:
                latest, reason = when, f"container {container['name']} ended {_how(ended)}"
    return count, reason


def _last(container: Object) -> str:
    ended = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated")
    return f", {_how(ended)}" if ended else ""


def _how(ended: Object) -> str:
    message = (ended.get("message") or "").strip()
    return f"with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})" + (f": {message}" if message else "")
