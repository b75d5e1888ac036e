"""What a document may say that only Kubernetes can do, whatever its runtime and by its runtime. Pure.

What a version says of its image, arguments and pods is passed over on this machine; the rest is refused, since what
would run is not what the document says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.document.model import ModelDeployment, Version
from deployer.document.model_uri import is_local
from deployer.document.values import Path, dotted
from deployer.errors import TurnoutError


class KubernetesOnly(TurnoutError):
    """Documents that this machine can't run; each line names a deployment, a field, and what to do."""


def check(deployments: Iterable[ModelDeployment]) -> None:
    """Let through what this machine can run.

    Raises:
        KubernetesOnly: it can't run all of them; the text holds all reasons.
    """
    lines = [f"{each.key}: {dotted(path)}: {why}" for each in deployments for path, why in _beyond(each)]
    if lines:
        raise KubernetesOnly("\n".join(lines))


def _beyond(deployment: ModelDeployment) -> Iterator[tuple[Path, str]]:
    yield from deployment.runtime.local_limits(deployment.spec)
    for index, version in enumerate(deployment.spec.versions):
        for path, why in _beyond_in(version):
            yield ("spec", "versions", index, *path), why


def _beyond_in(version: Version) -> Iterator[tuple[Path, str]]:
    if version.model is None:
        yield ("image",), "an image runs on Kubernetes only; write model: and the path of its model beside it"
    elif not is_local(version.model):
        yield (
            ("model",),
            f"{version.model} can be fetched on Kubernetes only; copy it to this machine and write its path",
        )
    if version.autoscaling and version.autoscaling.target.cpu is not None:
        yield (
            ("autoscaling", "target", "cpu"),
            "replicas follow their CPU on Kubernetes only; write inFlight: and a number of requests",
        )
