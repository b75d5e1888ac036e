"""A node whose pods are only said to run: for more of them than a machine could hold. Their addresses lead nowhere."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

from gateway.tasks import spawn
from tests.cluster.rig.agent import node
from tests.cluster.rig.agent.api import Api, Object, Refused, timestamp

NAME = "hollow"
SELECTOR = {"kubernetes.io/hostname": NAME}
"""Of pods that this node is to take."""
TAINT = "turnout.dev/hollow"
"""Keeps all others away: they have to tolerate it."""
_CAPACITY = {"cpu": "100k", "memory": "1Pi", "ephemeral-storage": "1Pi", "pods": "100k"}
_ADDRESSES = ipaddress.ip_network("10.244.128.0/17").hosts()


async def run(kubeconfig: Path) -> None:
    """Until cancelled."""
    api = Api(kubeconfig)
    keeping = spawn(node.keep(api, NAME, str(next(_ADDRESSES)), "10.244.128.0/17", _CAPACITY), "node")
    running: dict[str, str] = {}
    try:
        async for kind, pods in api.follow("/api/v1/pods", f"spec.nodeName={NAME}"):
            for pod in pods:
                if kind != "DELETED":
                    await _settle(api, pod, running)
    finally:
        keeping.cancel()
        await api.close()


async def _settle(api: Api, pod: Object, running: dict[str, str]) -> None:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    try:
        if metadata.get("deletionTimestamp"):
            await api.delete(path, {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
        elif metadata["uid"] not in running and not pod["status"].get("podIP"):  # else it has run before this process
            address = running[metadata["uid"]] = str(next(_ADDRESSES))
            await api.patch(f"{path}/status", {"status": _ready(pod, address)})
    except Refused as refusal:
        if refusal.status != 404:
            raise


def _ready(pod: Object, address: str) -> Object:
    now = timestamp()
    kinds = ("Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
        "containerStatuses": [
            {
                **{"name": one["name"], "image": one["image"], "imageID": one["image"], "restartCount": 0},
                **{"ready": True, "started": True, "state": {"running": {"startedAt": now}}},
            }
            for one in pod["spec"]["containers"]
        ],
    }


if __name__ == "__main__":
    import sys

    asyncio.run(run(Path(sys.argv[1])))
