"""The runtime `oip`. Pure but for `located`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.document import values
from deployer.runtimes.base import Launch, Process, Reserved, Runtime, Server
from deployer.runtimes.oip import container, process
from deployer.runtimes.oip.protocol import PROTOCOL
from deployer.runtimes.oip.rules import CEL, broken
from deployer.runtimes.oip.section import OipSection

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Spec, Version
    from deployer.kubernetes.manifests.basics import Options


class Oip(Runtime):
    """Each version is what MLServer loads; on Kubernetes also what another server of the protocol does."""

    name = "oip"
    title = "MLServer, or another server of the Open Inference Protocol"
    models = "what the server loads"
    protocol = PROTOCOL
    section = OipSection
    has_implementations = True
    cel = CEL
    knows_models = False

    def rules(self, spec: dict[str, Any]) -> Iterator[values.Violation]:
        return broken(spec)

    def reserved(self, version: dict[str, Any], spec: dict[str, Any]) -> Reserved:
        if values.mapping(spec, "oip").get("server") == "other":  # of which we know nothing
            return Reserved()
        models = ("MLSERVER_MODELS_DIR",) if "model" in version else ()
        return Reserved(variables=("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT", *models))

    def local_limits(self, spec: Spec) -> Iterator[tuple[values.Path, str]]:
        if spec.oip.server != "mlserver":
            yield (
                ("spec", "oip", "server"),
                f"{spec.oip.server} runs on Kubernetes only; on this machine there is mlserver",
            )
            return
        for index, version in enumerate(spec.versions):
            if version.model is not None and version.implementation is None:
                yield (
                    ("spec", "versions", index, "implementation"),
                    "on this machine mlserver has to be told what loads the model, "
                    "such as mlserver_sklearn.SKLearnModel",
                )

    def located(self, path: Path) -> Path:
        return path

    def process(self, launch: Launch) -> Process:
        return process.command(launch)

    def container(self, deployment: ModelDeployment, version: Version, options: Options) -> Server:
        return container.server(deployment, version)
