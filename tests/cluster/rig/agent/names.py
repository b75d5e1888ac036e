"""The names of Services, as every container's /etc/hosts has them: there is no name server."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.rig.agent.api import Api, Object


class Names:
    """`name.namespace` and its longer forms, for each Service that has an address of its own."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._services: dict[str, str] = {}
        self._files: dict[Path, str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async for kind, services in self._api.follow("/api/v1/services", ""):
            before = dict(self._services)
            if kind == "ALL":
                self._services.clear()
            for service in services:
                self._services.pop(service["metadata"]["uid"], None)
                if kind != "DELETED" and service["spec"].get("clusterIP", "None") != "None":
                    self._services[service["metadata"]["uid"]] = _line(service)
            if self._services != before:
                for file in self._files:
                    self._write(file)

    def add(self, file: Path, own: str) -> None:
        """Write `file`, and again at each change. `own`: the lines of its pod."""
        self._files[file] = own
        self._write(file)

    def remove(self, file: Path) -> None:
        self._files.pop(file, None)

    def _write(self, file: Path) -> None:
        # In place: what is mounted is this very file.
        file.write_text(self._files[file] + "".join(self._services.values()))


def _line(service: Object) -> str:
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
    return f"{service['spec']['clusterIP']} {name} {name}.svc {name}.svc.cluster.local\n"
