"""A version's pods: the server's container, what comes before and beside it, and how both are guarded. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from deployer.document.pod import Pod, Source, Toleration, Volume
from deployer.document.units import seconds
from deployer.kubernetes.manifests import warmup
from deployer.kubernetes.manifests.amounts import resources
from deployer.kubernetes.manifests.basics import Object
from deployer.kubernetes.objects import names
from deployer.runtimes.base import CONFIG_FOLDER, Server

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

SERVER = "server"
"""The server's container."""

LEAVE = 10
"""Seconds between a pod's leaving the list of endpoints and the signal to end. Gateways know within one or two."""
_TIMEOUT = 60
"""Seconds: gateways' own deadline."""

_STARTING = 30 * 60
"""Seconds that a server may take to load its model."""
PROGRESS = _STARTING + 5 * 60
"""Seconds until a Deployment counts as stuck: more than a server may take to start, with its image and its model."""


def files(server: Server, version: Version) -> dict[str, str]:
    """Texts of the files in the pod's CONFIG_FOLDER."""
    return {**server.files, **warmup.files(version)}


def template(deployment: ModelDeployment, version: Version, server: Server, config: str) -> Object:
    """The pod template of `version`; its files, if it has any, come from the ConfigMap called `config`."""
    name = deployment.metadata.name
    metadata: Object = {"labels": names.labels(name, version.name, deployment.spec.runtime)}
    if texts := files(server, version):
        metadata["annotations"] = {names.CONFIG_ANNOTATION: digest(texts)}
    return {"metadata": metadata, "spec": spec(deployment, version, server, config)}


def digest(texts: Mapping[str, str]) -> str:
    """What changes when a file does."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


def spec(deployment: ModelDeployment, version: Version, server: Server, config: str) -> Object:
    """The pod's `spec`."""
    longest = _longest(deployment.spec.timeout)
    volumes, mounts = _volumes(version, server, config)
    own = [_mount(index, volume) for index, volume in enumerate(version.pod.volumes)]
    before = [
        {
            **container,
            **_environment({}, version.pod.env_from),
            # The server's own: a pod is given the most of what comes before and what runs, so this costs nothing.
            **_filled(resources=resources(version.resources, gpu=False)),
            "volumeMounts": [*container["volumeMounts"], *own],
            "securityContext": _confined(),
        }
        for container in (server.model.before if server.model else ())
    ]
    beside = [
        {
            **container,
            "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}],
            "securityContext": _confined(),
        }
        for container in warmup.containers(version, server.rest, server.predict, longest)
    ]
    wanted: Pod = version.pod
    return _filled(
        serviceAccountName=wanted.service_account,
        automountServiceAccountToken=wanted.service_account is not None,
        imagePullSecrets=[{"name": name} for name in wanted.pull_secrets],
        nodeSelector=dict(wanted.node_selector),
        tolerations=[_toleration(toleration) for toleration in wanted.tolerations],
        topologySpreadConstraints=[
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": names.selector(deployment.metadata.name, version.name)},
            }
        ],
        securityContext=_filled(
            runAsNonRoot=True if server.user is not None else None,
            runAsUser=server.user,
            runAsGroup=server.user,
            seccompProfile={"type": "RuntimeDefault"},
        ),
        terminationGracePeriodSeconds=LEAVE + longest,
        initContainers=before,
        containers=[_container(version, server, mounts), *beside],
        volumes=volumes,
    )


def _longest(timeout: str | None) -> int:
    """Seconds that a prediction may take, the first and the last. TensorFlow Serving does not act on the signal to end,
    so its pods always take this long to go. Not below gateways' own: a short deadline is not worth new pods."""
    return _TIMEOUT if timeout is None else max(_TIMEOUT, math.ceil(seconds(timeout)))


def _container(version: Version, server: Server, mounts: list[Object]) -> Object:
    ready = {"httpGet": {"path": server.ready, "port": names.REST_PORT}}
    return _filled(
        name=SERVER,
        image=server.image,
        workingDir=server.folder,
        command=list(server.command),
        args=list(server.args),
        **_environment({**server.env, **version.env}, version.pod.env_from),
        ports=ports(server),
        resources=resources(version.resources),
        # Until the model is loaded once, neither of the others is asked.
        startupProbe={**ready, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": _STARTING // 2},
        readinessProbe={**ready, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        # The port and no more: a server that is only busy must not be started again (0017-probes-that-tell-the-truth).
        livenessProbe={
            "tcpSocket": {"port": names.REST_PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        lifecycle={"preStop": {"sleep": {"seconds": LEAVE}}},
        securityContext=_confined() | ({"readOnlyRootFilesystem": True} if server.writes_nothing else {}),
        volumeMounts=mounts,
    )


def ports(server: Server) -> list[Object]:
    """The container's ports; one that serves metrics beside REST has no name of its own."""
    numbers = {names.REST_PORT: server.rest, names.GRPC_PORT: server.grpc, names.METRICS_PORT: server.metrics}
    if server.metrics == server.rest:
        del numbers[names.METRICS_PORT]
    return [
        {"name": name, "containerPort": number, "protocol": "TCP"}
        for name, number in numbers.items()
        if number is not None
    ]


def _volumes(version: Version, server: Server, config: str) -> tuple[list[Object], list[Object]]:
    """The pod's volumes, and where the server has them."""
    volumes: list[Object] = []
    mounts: list[Object] = []
    if files(server, version):
        volumes.append({"name": "config", "configMap": {"name": config}})
    if server.files:
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True})
    if server.model is not None:
        volumes += server.model.volumes
        mounts += server.model.mounts
    if server.writes_nothing and not any(volume.path == "/tmp" for volume in version.pod.volumes):
        volumes.append({"name": "tmp", "emptyDir": {}})
        mounts.append({"name": "tmp", "mountPath": "/tmp"})
    for index, volume in enumerate(version.pod.volumes):
        volumes.append({"name": _volume_name(index), **_source(volume)})
        mounts.append(_mount(index, volume))
    return volumes, mounts


def _volume_name(index: int) -> str:
    return f"volume-{index}"


def _mount(index: int, volume: Volume) -> Object:
    mount: Object = {"name": _volume_name(index), "mountPath": volume.path}
    return mount | ({"readOnly": True} if volume.read_only else {})


def _source(volume: Volume) -> Object:
    if volume.secret is not None:
        return {"secret": {"secretName": volume.secret}}
    if volume.config_map is not None:
        return {"configMap": {"name": volume.config_map}}
    return {"persistentVolumeClaim": {"claimName": volume.pvc}}


def _environment(env: Mapping[str, str], sources: Iterable[Source]) -> Object:
    return _filled(
        envFrom=[
            {"secretRef": {"name": source.secret}} if source.secret else {"configMapRef": {"name": source.config_map}}
            for source in sources
        ],
        # The API server leaves an empty value out.
        env=[{"name": name, **_filled(value=value)} for name, value in env.items()],
    )


def _toleration(toleration: Toleration) -> Object:
    return _filled(
        key=toleration.key,
        operator=toleration.operator,
        value=toleration.value,
        effect=toleration.effect,
        tolerationSeconds=toleration.toleration_seconds,
    )


def _confined() -> Object:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _filled(**parts: Any) -> Object:
    """The parts that hold something. No and 0 are something."""
    return {name: part for name, part in parts.items() if part is not None and part not in ("", [], {})}
