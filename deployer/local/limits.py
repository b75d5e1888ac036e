"""What a document may say that only Kubernetes can do. Pure.

What a version says of its image, arguments and pods is passed over on this machine; the rest is refused, since what
would run is not what the document says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.errors import TurnoutError
from deployer.model_path import is_local
from deployer.plain import Path, dotted
from deployer.spec import ModelDeployment, Version


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
    spec = deployment.spec
    if spec.runtime == "oip" and spec.oip.server != "mlserver":
        yield ("spec", "oip", "server"), f"{spec.oip.server} runs on Kubernetes only; on this machine there is mlserver"
        return
    if spec.seldon.protocol != "seldon":
        yield ("spec", "seldon", "protocol"), f"{spec.seldon.protocol} is spoken on Kubernetes only; leave it out"
    for index, version in enumerate(spec.versions):
        for path, why in _beyond_in(spec.runtime, version):
            yield ("spec", "versions", index, *path), why


def _beyond_in(runtime: str, version: Version) -> Iterator[tuple[Path, str]]:
    if version.model is None:
        yield ("image",), "an image runs on Kubernetes only; write model: and the path of its model beside it"
    elif not is_local(version.model):
        yield (
            ("model",),
            f"{version.model} can be fetched on Kubernetes only; copy it to this machine and write its path",
        )
    if runtime == "oip" and version.model is not None and version.implementation is None:
        yield (
            ("implementation",),
            "on this machine mlserver has to be told what loads the model, such as mlserver_sklearn.SKLearnModel",
        )
    if runtime == "seldon" and version.implementation is not None:
        yield (
            ("implementation",),
            f"{version.implementation} runs on Kubernetes only; write the path of a Python class as model:",
        )
    if version.autoscaling and version.autoscaling.target.cpu is not None:
        yield (
            ("autoscaling", "target", "cpu"),
            "replicas follow their CPU on Kubernetes only; write inFlight: and a number of requests",
        )
