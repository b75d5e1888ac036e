"""The runtime `triton`. Pure but for `located`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.runtimes.base import Launch, Process, Reserved, Runtime, Server
from deployer.runtimes.triton import container, model, process
from deployer.runtimes.triton.protocol import PROTOCOL

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version
    from deployer.kubernetes.manifests.basics import Options


class Triton(Runtime):
    """Each version is a folder of Triton's model repository."""

    name = "triton"
    title = "NVIDIA's Triton"
    models = "one version's folder in Triton's model repository, named by its number, or a model's whole folder"
    protocol = PROTOCOL
    is_numbered = True

    def reserved(self, version: dict[str, Any], spec: dict[str, Any]) -> Reserved:
        models = ("model-repository", "model-store") if "model" in version else ()
        return Reserved(flags=("http-port", "grpc-port", "metrics-port", *models))

    def located(self, path: Path) -> Path:
        return model.located(path)

    def process(self, launch: Launch) -> Process:
        return process.command(launch)

    def container(self, deployment: ModelDeployment, version: Version, options: Options) -> Server:
        return container.server(deployment, version)
