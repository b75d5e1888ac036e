"""What the agent says about a pod. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.cluster.rig.agent.api import Object
from tests.cluster.rig.agent.container import Container


def phase(containers: Sequence[Container], initialized: bool, failed: bool) -> str:
    """By a kubelet's rules. `failed`: an init container has, for good."""
    if failed:
        return "Failed"
    if not initialized or any("waiting" in one.state and not one.last for one in containers):
        return "Pending"
    codes = [one.code for one in containers]
    if any(code is None for code in codes) or any(one.policy == "Always" for one in containers):
        return "Running"
    return "Failed" if any(codes) else "Succeeded"


def conditions(
    pod: Object, containers: Sequence[Container], phase: str, network: bool, initialized: bool, now: str
) -> list[Object]:
    """The agent's own, with the time of the last change kept where nothing changed."""
    unready = [one.name for one in containers if not one.ready]
    before = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", [])}
    why = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]") if unready else ("", "")
    if phase in ("Succeeded", "Failed"):
        why = ("PodCompleted" if phase == "Succeeded" else "PodFailed", "")
    closed = [
        gate["conditionType"]
        for gate in pod["spec"].get("readinessGates", [])
        if before.get(gate["conditionType"], {}).get("status") != "True"
    ]
    gates = ("ReadinessGatesNotReady", f"conditions that are not true: {closed}") if closed else ("", "")
    reasons: Mapping[str, tuple[str, str]] = {
        "PodReadyToStartContainers": ("", "") if network else ("NoNetwork", ""),
        "Initialized": ("", "") if initialized else ("ContainersNotInitialized", ""),
        "ContainersReady": why,
        "Ready": why if why[0] else gates,
    }
    found = []
    for kind, (reason, message) in reasons.items():
        condition: Object = {"type": kind, "status": "False" if reason else "True", "lastTransitionTime": now}
        condition |= {"reason": reason or None, "message": message or None}
        if kind in before and before[kind]["status"] == condition["status"]:
            condition["lastTransitionTime"] = before[kind]["lastTransitionTime"]
        found.append(condition)
    return found


def differs(wanted: object, found: object) -> bool:
    """Whether a patch of `wanted` would change `found`: None stands for what isn't there; more may be there."""
    match wanted, found:
        case dict(), dict():
            return any(differs(value, found.get(key)) for key, value in wanted.items())
        case list(), list() if wanted and "type" in wanted[0]:
            by_type = {item["type"]: item for item in found}
            return any(differs(item, by_type.get(item["type"])) for item in wanted)
        case list(), list():
            return len(wanted) != len(found) or any(map(differs, wanted, found))
        case (([] | {} | "" | False | 0), None):
            return False
    return wanted != found
