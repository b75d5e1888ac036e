"""A version's TensorFlow Serving. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from deployer.kubernetes.manifests.basics import CannotRender, field
from deployer.kubernetes.manifests.model import NoSuchPlace, Placed, placed
from deployer.runtimes.base import CONFIG_FOLDER, Server
from deployer.runtimes.tfserving.process import MODEL_SERVER, model_config

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

IMAGE = "tensorflow/serving:2.19.1"
GPU_IMAGE = f"{IMAGE}-gpu"
"""The same server, built for CUDA: the other one leaves a GPU idle."""
GRPC, REST = 8500, 8501
"""The image's usual ports."""

_USER = 65532
"""Any user will do: the image has none of its own, and the server only reads."""
_MODELS, _MONITORING = "models.config", "monitoring.config"
_METRICS_ON = 'prometheus_config {\n  enable: true\n  path: "/monitoring/prometheus/metrics"\n}\n'


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version`.

    Raises:
        CannotRender: its model can't be brought to it.
    """
    name, number, model = deployment.metadata.name, version.number, version.model
    if model is None or number is None:
        raise CannotRender(field(deployment, version, "model"), "tfserving needs a model and its servable number")
    image = version.image or (GPU_IMAGE if version.resources.limits.gpu else IMAGE)
    try:
        place = _place(model, image, str(number))
    except NoSuchPlace as error:
        raise CannotRender(field(deployment, version, "model"), str(error)) from None
    path = f"/v1/models/{quote(name, safe='')}/versions/{number}"
    return Server(
        image=image,
        rest=REST,
        grpc=GRPC,
        metrics=REST,
        # Not `/v1/models/M`, which answers 200 whatever the state (docs/decisions/0017-probes-that-tell-the-truth.md).
        ready=f"{path}/metadata",
        predict=f"{path}:predict",
        command=(MODEL_SERVER,),
        args=(
            f"--port={GRPC}",
            f"--rest_api_port={REST}",
            f"--model_config_file={CONFIG_FOLDER}/{_MODELS}",
            f"--monitoring_config_file={CONFIG_FOLDER}/{_MONITORING}",
            "--allow_version_labels_for_unavailable_models=true",
            *version.args,
        ),
        files={_MODELS: model_config(name, place.path.rpartition("/")[0] or "/", number), _MONITORING: _METRICS_ON},
        model=place,
        user=_USER,
        writes_nothing=True,
    )


def _place(model: str, image: str, number: str) -> Placed:
    """The server finds a version by the name of its folder, and reads Google's storage by itself."""
    if model.lower().startswith("gs://") and model.rstrip("/").endswith(f"/{number}"):
        return Placed(model.rstrip("/"))
    return placed(model, image, number, folder=True, servable=number)
