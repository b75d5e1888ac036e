"""A version's server of the Open Inference Protocol: MLServer, Triton, or another. Pure.

Each serves one model, of the deployment's name. MLServer's has our version's name as its version, so a request that
pins a version is right as it is, wherever the gateway sends it (decision 6).
"""

from __future__ import annotations

from urllib.parse import quote

from deployer.kubernetes.manifests.basics import CannotRender, field
from deployer.kubernetes.manifests.model import NoSuchPlace, Placed, placed
from deployer.kubernetes.manifests.server import CONFIG_FOLDER, Server
from deployer.runtimes.oip.process import model_settings
from deployer.spec import ModelDeployment, Ports, Version

MLSERVER = "seldonio/mlserver:1.7.1"
TRITON = "nvcr.io/nvidia/tritonserver:25.08-py3"
MLSERVER_PORTS = Ports(rest=8080, grpc=8081, metrics=8082)
TRITON_PORTS = Ports(rest=8000, grpc=8001, metrics=8002)

_USER = 1000
"""MLServer's own, and Triton's, though Triton's image begins as root."""


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version`.

    Raises:
        CannotRender: it can't be told which model to serve, or can't be had.
    """
    try:
        match deployment.spec.oip.server:
            case "mlserver":
                return _mlserver(deployment, version)
            case "triton":
                return _triton(deployment, version)
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


def _triton(deployment: ModelDeployment, version: Version) -> Server:
    ports = deployment.spec.oip.ports or TRITON_PORTS
    image = version.image or TRITON
    path = _path(deployment)
    place, args = None, version.args
    if version.model is not None:
        # A numbered folder is one version of the model, another one the model itself: with config.pbtxt and versions.
        name = deployment.metadata.name
        place = placed(version.model, image, f"{name}/{version.number}" if version.number else name)
        args = (f"--model-repository={_repository(place, version)}", *args)
    metrics = (f"--metrics-port={ports.metrics}",) if ports.metrics else ("--allow-metrics=false",)
    return Server(
        image=image,
        rest=ports.rest,
        grpc=ports.grpc,
        metrics=ports.metrics,
        ready=f"{path}/ready",
        predict=f"{path}/infer",
        args=("tritonserver", f"--http-port={ports.rest}", f"--grpc-port={ports.grpc}", *metrics, *args),
        model=place,
        user=_USER,
    )


def _repository(place: Placed, version: Version) -> str:
    """The folder that holds the folder of the model's name."""
    above = place.path.rpartition("/")[0]
    return (above.rpartition("/")[0] if version.number else above) or "/"


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
