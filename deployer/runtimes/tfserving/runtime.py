"""The runtime `tfserving`. Pure but for `located`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.document.values import Violation
from deployer.runtimes.base import Launch, Process, Reserved, Runtime, Server
from deployer.runtimes.tfserving import container, model, process
from deployer.runtimes.tfserving.protocol import PROTOCOL
from deployer.runtimes.tfserving.rules import CEL, broken

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version
    from deployer.kubernetes.manifests.basics import Options


class TfServing(Runtime):
    """Each version is a SavedModel, which its server knows by a number."""

    name = "tfserving"
    title = "TensorFlow Serving"
    models = "a SavedModel's folder"
    protocol = PROTOCOL
    needs_model = True
    is_numbered = True
    cel = CEL
    binary = process.MODEL_SERVER

    def rules(self, spec: dict[str, Any]) -> Iterator[Violation]:
        return broken(spec)

    def reserved(self, version: dict[str, Any], spec: dict[str, Any]) -> Reserved:
        models = ("model_name", "model_base_path", "model_config_file", "monitoring_config_file")
        return Reserved(flags=("port", "rest_api_port", *models))

    def located(self, path: Path) -> Path:
        return model.located(path)

    def process(self, launch: Launch) -> Process:
        return process.command(launch)

    def container(self, deployment: ModelDeployment, version: Version, options: Options) -> Server:
        return container.server(deployment, version)
