"""A node of the rig: `python -m tests.cluster.rig.agent --node NAME --cidr 10.244.N.0/24 --kubeconfig F --folder D`.

Runs as root in the rig's network namespace. It registers a Node and runs the pods that are bound to it as processes of
this machine, each pod with a network of its own and each container with a root of its own. SIGTERM ends it and them.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
from pathlib import Path

from gateway.tasks import spawn
from tests.cluster.rig.agent import node
from tests.cluster.rig.agent.api import Api, Object
from tests.cluster.rig.agent.names import Names
from tests.cluster.rig.agent.pods import Pod


class Agent:
    def __init__(self, api: Api, name: str, cidr: str, folder: Path) -> None:
        self._api = api
        self._names = Names(api)
        self._name = name
        self._cidr = cidr
        self._folder = folder
        self._pods: dict[str, Pod] = {}
        self._running: set[asyncio.Task[None]] = set()
        network = ipaddress.ip_network(cidr)
        self._host = str(network[1])
        self._addresses = [str(address) for address in list(network)[2:-1]]

    async def run(self) -> None:
        """Until cancelled; then all pods' processes end, and the API server is not told."""
        keeping = spawn(node.keep(self._api, self._name, self._host, self._cidr), "node")
        naming = spawn(self._names.run(), "names")
        try:
            async for kind, pods in self._api.follow("/api/v1/pods", f"spec.nodeName={self._name}"):
                if kind == "ALL":
                    found = {pod["metadata"]["uid"] for pod in pods}
                    for uid in self._pods.keys() - found:
                        self._pods[uid].kill()
                # Those that have an address first: it is theirs.
                for pod in sorted(pods, key=lambda pod: "podIP" not in pod.get("status", {})):
                    self._seen(pod, deleted=kind == "DELETED")
        finally:
            keeping.cancel()
            naming.cancel()
            for running in self._pods.values():
                running.kill()
            if self._running:
                await asyncio.wait(self._running)

    def _seen(self, pod: Object, deleted: bool) -> None:
        uid = pod["metadata"]["uid"]
        known = self._pods.get(uid)
        if deleted:
            if known is not None:
                known.kill()
        elif known is not None:
            known.update(pod)
        else:
            new = Pod(self._api, self._names, pod, self._address(pod), self._host, self._folder)
            self._pods[uid] = new
            task = spawn(new.run(), f"pod {pod['metadata']['name']}")
            self._running.add(task)
            task.add_done_callback(lambda task: self._ended(task, uid))

    def _address(self, pod: Object) -> str:
        """Its own of before this agent started, or the one that is free for longest: others may still be in a table."""
        address: str = pod.get("status", {}).get("podIP", "")
        if address not in self._addresses:
            address = self._addresses[0]
        self._addresses.remove(address)
        return address

    def _ended(self, task: asyncio.Task[None], uid: str) -> None:
        self._running.discard(task)
        self._addresses.append(self._pods.pop(uid).address)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="agent", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--node", required=True, help="the node's name")
    parser.add_argument("--cidr", required=True, help="where its pods' addresses are from, within 10.244.0.0/16")
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--folder", required=True, type=Path, help="logs/, and pods/ with a file for each that runs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for name in ("logs", "pods"):
        (arguments.folder / name).mkdir(parents=True, exist_ok=True)
    arguments.folder.chmod(0o755)
    api = Api(arguments.kubeconfig)
    running = spawn(Agent(api, arguments.node, arguments.cidr, arguments.folder.resolve()).run(), "agent")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    await asyncio.wait({running})
    await api.close()
    if not running.cancelled():
        os._exit(1)


if __name__ == "__main__":
    asyncio.run(main())
