"""The environment variables of a container."""

from __future__ import annotations

from collections.abc import Mapping

from tests.cluster.rig.agent.api import Api, Object
from tests.cluster.rig.agent.fields import expanded, field, resource
from tests.cluster.rig.agent.volumes import NotYet, data

_API_SERVER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


async def environment(api: Api, pod: Object, container: Object, image: Mapping[str, str]) -> dict[str, str]:
    """Later ones win: the image's, the cluster's, `envFrom`, `env`.

    Raises:
        NotYet: a ConfigMap, Secret or key that isn't optional isn't there.
    """
    namespace = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
    found = {"HOSTNAME": pod["metadata"]["name"], "HOME": "/root", **image, **_API_SERVER}
    for source in container.get("envFrom", []):
        plural, wanted = (
            ("secrets", source["secretRef"]) if "secretRef" in source else ("configmaps", source["configMapRef"])
        )
        values = await data(api, namespace, plural, wanted["name"], wanted.get("optional", False))
        found |= {source.get("prefix", "") + key: value.decode() for key, value in values.items()}
    for variable in container.get("env", []):
        name = variable["name"]
        match variable.get("valueFrom"):
            case None:
                found[name] = expanded(variable.get("value", ""), found)
            case {"fieldRef": wanted}:
                found[name] = field(pod, wanted["fieldPath"])
            case {"resourceFieldRef": wanted}:
                found[name] = resource(container, wanted)
            case {"secretKeyRef": wanted} | {"configMapKeyRef": wanted} as source:
                plural = "secrets" if "secretKeyRef" in source else "configmaps"
                optional = wanted.get("optional", False)
                values = await data(api, namespace, plural, wanted["name"], optional)
                if wanted["key"] in values:
                    found[name] = values[wanted["key"]].decode()
                elif not optional:
                    raise NotYet(f"{name}: {plural.removesuffix('s')} {wanted['name']!r} has no key {wanted['key']!r}")
    return found
