"""The node itself: its object, kept ready, and its Lease."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.cluster.rig.agent.api import AGAIN, Api, Object, Refused, Unreachable, timestamp
from tests.cluster.rig.agent.fields import CAPACITY

VERSION = "v1.36.4"
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_SINCE = timestamp()
_RENEW = 10.0
"""Seconds between two signs of life: the node controller is content with 40."""
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

log = logging.getLogger(__name__)


async def keep(api: Api, name: str, address: str, cidr: str, capacity: Mapping[str, str] = CAPACITY) -> None:
    """Register the node and keep it ready, until cancelled."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": _ARCHITECTURE}
    node = {"metadata": {"name": name, "labels": labels}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
    while True:
        try:
            status = {"status": _status(name, address, capacity)}
            found = await _patched(api, "/api/v1/nodes", "/status", node, status)
            owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": found["metadata"]["uid"]}
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}}
            await _patched(api, _LEASES, "", {"metadata": {"name": name, "ownerReferences": [owner]}}, spec)
            await asyncio.sleep(_RENEW)
        except (Refused, Unreachable) as error:
            log.info("the node is not renewed: %s", error)
            await asyncio.sleep(AGAIN)


async def _patched(api: Api, path: str, part: str, wanted: Object, patch: Object) -> Object:
    """The object after the patch, made before if there is none."""
    own = f"{path}/{wanted['metadata']['name']}{part}"
    try:
        found: Object = await api.patch(own, patch)
    except Refused as error:
        if error.status != 404:
            raise
        await api.post(path, wanted)
        found = await api.patch(own, patch)
    return found


def _status(name: str, address: str, capacity: Mapping[str, str]) -> Object:
    now = timestamp()
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the rig's agent runs"}
    calm = [
        {"type": kind, "status": "False", "reason": "Enough", "message": "not looked at"}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    info = {"architecture": _ARCHITECTURE, "operatingSystem": "linux", "kernelVersion": platform.release()}
    info |= {"kubeletVersion": VERSION, "containerRuntimeVersion": "rig://1", "osImage": "Linux", "bootID": name}
    info |= {"machineID": name, "systemUUID": name, "kubeProxyVersion": ""}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "nodeInfo": info,
        "conditions": [
            {**condition, "lastHeartbeatTime": now, "lastTransitionTime": _SINCE} for condition in (ready, *calm)
        ],
    }
