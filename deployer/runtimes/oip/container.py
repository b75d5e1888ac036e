"""A version's server of the Open Inference Protocol in a pod: MLServer, or another. Pure.

Each serves one model, of the deployment's name. MLServer's has our version's name as its version, so a request that
pins a version is right as it is, wherever the gateway sends it (docs/decisions/0006-one-server-per-version.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from deployer.kubernetes.manifests.basics import CannotRender, field
from deployer.kubernetes.manifests.model import NoSuchPlace, placed
from deployer.runtimes.base import CONFIG_FOLDER, Server
from deployer.runtimes.oip.process import model_settings
from deployer.runtimes.oip.section import Ports

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

MLSERVER = "seldonio/mlserver:1.7.1"
MLSERVER_PORTS = Ports(rest=8080, grpc=8081, metrics=8082)

_USER = 1000
"""MLServer's own."""


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version`.

    Raises:
        CannotRender: it can't be told which model to serve, or can't be had.
    """
    try:
        if deployment.spec.oip.server == "mlserver":
            return _mlserver(deployment, version)
        return _other(deployment, version)
    except NoSuchPlace as error:
        raise CannotRender(field(deployment, version, "model"), str(error)) from None


def _mlserver(deployment: ModelDeployment, version: Version) -> Server:
    ports = deployment.spec.oip.ports or MLSERVER_PORTS
    image = version.image or MLSERVER
    env = {
        # One process, as on a laptop: there are replicas. Its worker processes don't start with each version of uvloop.
        "MLSERVER_PARALLEL_WORKERS": "0",
        # The image's own working directory is no place for all users to write.
        "MLSERVER_METRICS_DIR": "/tmp/metrics",
        "MLSERVER_ENVIRONMENTS_DIR": "/tmp/environments",
    }
    if deployment.spec.oip.ports is not None:
        env |= {"MLSERVER_HTTP_PORT": str(ports.rest), "MLSERVER_GRPC_PORT": str(ports.grpc)}
        env |= {"MLSERVER_METRICS_PORT": str(ports.metrics)} if ports.metrics else {"MLSERVER_METRICS_ENDPOINT": ""}
    files: dict[str, str] = {}
    place, path = None, _path(deployment)
    if version.model is not None:
        place = placed(version.model, image)
        if version.implementation is None:
            # The model's folder has its own model-settings.json, in which the name is the deployment's.
            env["MLSERVER_MODELS_DIR"] = place.path
        else:
            env["MLSERVER_MODELS_DIR"] = CONFIG_FOLDER
            # For a class of the user's own, which lies beside the model.
            env["PYTHONPATH"] = place.path
            files["model-settings.json"] = model_settings(
                deployment.metadata.name, version.name, version.implementation, place.path
            )
            path = f"{path}/versions/{quote(version.name, safe='')}"
    return Server(
        image=image,
        rest=ports.rest,
        grpc=ports.grpc,
        metrics=ports.metrics,
        ready=f"{path}/ready",
        predict=f"{path}/infer",
        args=version.args,
        env=env,
        files=files,
        model=place,
        user=_USER,
    )


def _other(deployment: ModelDeployment, version: Version) -> Server:
    ports = deployment.spec.oip.ports
    if ports is None or version.image is None:
        raise CannotRender("spec.oip.ports", "of another server the ports and the image can't be known; write them")
    return Server(
        image=version.image,
        rest=ports.rest,
        grpc=ports.grpc,
        metrics=ports.metrics,
        ready=f"{_path(deployment)}/ready",
        predict=f"{_path(deployment)}/infer",
        args=version.args,
        model=None if version.model is None else placed(version.model, version.image),
    )


def _path(deployment: ModelDeployment) -> str:
    return f"/v2/models/{quote(deployment.metadata.name, safe='')}"
