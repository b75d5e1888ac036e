"""The runtime `seldon`. Pure but for `located`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.document import values
from deployer.runtimes.base import Launch, Process, Reserved, Runtime, Server, ServingProtocol
from deployer.runtimes.oip import protocol as oip_protocol
from deployer.runtimes.seldon import container, model, process, seldon_deployment
from deployer.runtimes.seldon.protocol import PROTOCOL
from deployer.runtimes.seldon.rules import CEL, broken
from deployer.runtimes.seldon.section import SeldonSection
from deployer.runtimes.tfserving import protocol as tfserving_protocol

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Spec, Version
    from deployer.kubernetes.manifests.basics import Object, Options


class Seldon(Runtime):
    """Each version is a Python class of the user's own, or on Kubernetes one of Seldon's prepackaged servers."""

    name = "seldon"
    title = "Seldon's servers"
    models = "a Python file named after the model class in it, or its folder"
    protocol = PROTOCOL
    section = SeldonSection
    has_implementations = True
    cel = CEL

    def rules(self, spec: dict[str, Any]) -> Iterator[values.Violation]:
        return broken(spec)

    def reserved(self, version: dict[str, Any], spec: dict[str, Any]) -> Reserved:
        ports = ("HTTP_SERVICE_PORT", "GRPC_SERVICE_PORT", "METRICS_SERVICE_PORT", "SERVICE_PORT")
        return Reserved(("http-port", "grpc-port", "metrics-port"), tuple(f"PREDICTIVE_UNIT_{port}" for port in ports))

    def speaks(self, spec: Spec) -> ServingProtocol:
        return {
            "seldon": PROTOCOL,
            "tensorflow": tfserving_protocol.PROTOCOL,
            "v2": oip_protocol.PROTOCOL,
        }[spec.seldon.protocol]

    def servable(self, spec: Spec, version: Version) -> int | None:
        return version.number if spec.seldon.protocol == "tensorflow" else None

    def local_limits(self, spec: Spec) -> Iterator[tuple[values.Path, str]]:
        if spec.seldon.protocol != "seldon":
            yield ("spec", "seldon", "protocol"), f"{spec.seldon.protocol} is spoken on Kubernetes only; leave it out"
        for index, version in enumerate(spec.versions):
            if version.implementation is not None:
                yield (
                    ("spec", "versions", index, "implementation"),
                    f"{version.implementation} runs on Kubernetes only; write the path of a Python class as model:",
                )

    def located(self, path: Path) -> Path:
        return model.located(path)

    def process(self, launch: Launch) -> Process:
        return process.command(launch)

    def container(self, deployment: ModelDeployment, version: Version, options: Options) -> Server:
        if seldon_deployment.is_used(deployment, options):
            return seldon_deployment.server(deployment, version)
        return container.server(deployment, version)

    def resource(
        self, deployment: ModelDeployment, version: Version, server: Server, options: Options, metadata: Object
    ) -> Object | None:
        if seldon_deployment.is_used(deployment, options):
            return seldon_deployment.seldon_deployment(deployment, version, server, options, metadata)
        return None
