"""Volumes: each a folder or file of this machine that is mounted into containers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.cluster.rig.agent.api import Api, Object, Refused
from tests.cluster.rig.agent.fields import field, resource

_TOKEN_SECONDS = 86_400
"""Asked for whatever the volume says, since no token is renewed here."""


class NotYet(Exception):
    """Something that the pod names isn't there (yet); the message says what."""


class Volumes:
    """A pod's volumes under `folder`."""

    def __init__(self, api: Api, pod: Object, folder: Path) -> None:
        self._api = api
        self._pod = pod
        self._folder = folder
        self._namespace = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
        self._sources: dict[str, Path] = {}
        self._fixed: set[str] = set()
        """Those that no container may write to."""

    async def make(self) -> None:
        """Raises NotYet: to be called again."""
        for volume in self._pod["spec"].get("volumes", []):
            name = volume["name"]
            if name not in self._sources:
                self._sources[name] = await self._make(volume, self._folder / name)

    def mounts(self, container: Object) -> list[tuple[str, str, bool]]:
        """The source, the path in the container and whether it is read-only, outer paths first."""
        found = []
        for mount in container.get("volumeMounts", []):
            source = _there(self._sources[mount["name"]] / mount.get("subPath", ""))
            read_only = mount.get("readOnly", False) or mount["name"] in self._fixed
            found.append((str(source), mount["mountPath"], read_only))
        return sorted(found, key=lambda mount: mount[1].count("/"))

    async def _make(self, volume: Object, folder: Path) -> Path:
        match volume:
            case {"hostPath": {"path": path}}:
                return _there(Path(path))
            case {"persistentVolumeClaim": claim}:
                if claim.get("readOnly"):
                    self._fixed.add(volume["name"])
                return await self._claimed(claim["claimName"])
            case {"emptyDir": _}:
                _there(folder).chmod(0o777)
                return folder
            case {"projected": projected}:
                sources, mode = projected["sources"], projected.get("defaultMode", 0o644)
            case _:
                kind = next(key for key in volume if key != "name")
                sources, mode = [{kind: volume[kind]}], volume[kind].get("defaultMode", 0o644)
        self._fixed.add(volume["name"])
        for source in sources:
            for path, content in (await self._files(source)).items():
                _write(folder / path, content, mode)
        return _there(folder)

    async def _files(self, source: Object) -> dict[str, bytes]:
        match source:
            case {"configMap": wanted}:
                return _items(wanted, await self._data("configmaps", wanted))
            case {"secret": wanted}:
                return _items(wanted, await self._data("secrets", {"name": wanted.get("secretName"), **wanted}))
            case {"serviceAccountToken": wanted}:
                metadata = self._pod["metadata"]
                account = self._pod["spec"].get("serviceAccountName", "default")
                bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
                audiences = [wanted["audience"]] if wanted.get("audience") else []
                request = {
                    "spec": {"audiences": audiences, "expirationSeconds": _TOKEN_SECONDS, "boundObjectRef": bound}
                }
                try:
                    answer = await self._api.post(f"{self._namespace}/serviceaccounts/{account}/token", request)
                except Refused as error:
                    raise NotYet(str(error)) from None
                return {wanted["path"]: answer["status"]["token"].encode()}
            case {"downwardAPI": wanted}:
                return {item["path"]: self._downward(item).encode() for item in wanted.get("items", [])}
        raise NotYet(f"the rig knows no volume of the kind {', '.join(source)}")

    def _downward(self, item: Object) -> str:
        if "fieldRef" in item:
            return field(self._pod, item["fieldRef"]["fieldPath"])
        containers = {container["name"]: container for container in self._pod["spec"]["containers"]}
        return resource(containers[item["resourceFieldRef"]["containerName"]], item["resourceFieldRef"])

    async def _data(self, plural: str, wanted: Object) -> dict[str, bytes]:
        return await data(self._api, self._namespace, plural, wanted["name"], wanted.get("optional", False))

    async def _claimed(self, name: str) -> Path:
        try:
            claim = await self._api.get(f"{self._namespace}/persistentvolumeclaims/{name}")
            if claim.get("status", {}).get("phase") != "Bound":
                raise NotYet(f"persistentvolumeclaim {name!r} is not bound")
            volume = await self._api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
        except Refused as error:
            raise NotYet(str(error)) from None
        match volume["spec"]:
            case {"hostPath": {"path": path}} | {"local": {"path": path}}:
                return _there(Path(path))
        raise NotYet(f"persistentvolumeclaim {name!r}: the rig knows hostPath and local volumes only")


def _there(path: Path) -> Path:
    """A folder is made if there is nothing."""
    if not path.exists():
        path.mkdir(parents=True)
    return path


def _write(file: Path, content: bytes, mode: int) -> None:
    _there(file.parent)
    file.write_bytes(content)
    # Readable for all: which user a container runs as is not considered.
    file.chmod(mode | 0o444)


async def data(api: Api, namespace: str, plural: str, name: str, optional: bool) -> dict[str, bytes]:
    """What a ConfigMap or Secret holds.

    Raises:
        NotYet: there is none and it isn't optional.
    """
    try:
        found = await api.get(f"{namespace}/{plural}/{name}")
    except Refused as error:
        if error.status == 404 and optional:
            return {}
        raise NotYet(f"{plural.removesuffix('s')} {name!r}: {error}") from None
    if plural == "secrets":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _items(wanted: Object, found: dict[str, bytes]) -> dict[str, bytes]:
    items: list[dict[str, Any]] | None = wanted.get("items")
    if items is None:
        return found
    missing = [item["key"] for item in items if item["key"] not in found]
    if missing and not wanted.get("optional", False):
        raise NotYet(f"{wanted.get('name') or wanted.get('secretName')}: there is no key {missing[0]!r} in it")
    return {item["path"]: found[item["key"]] for item in items if item["key"] in found}
