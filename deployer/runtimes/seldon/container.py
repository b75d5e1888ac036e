"""A version's server of Seldon's: a class of the user's own in an image, or a prepackaged one. Pure.

Here it runs without Seldon's operator: the same images, told by the same variables. What the operator would make of it
is in `seldon_deployment.py`.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

from deployer.document.model_uri import is_local
from deployer.kubernetes.manifests.basics import CannotRender, field
from deployer.kubernetes.manifests.model import NoSuchPlace, Placed, placed
from deployer.runtimes.base import Server

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

REST, GRPC, METRICS = 9000, 5000, 6000
"""The usual ports of Seldon's microservices."""
USER = 8888
"""Who Seldon's own operator has them run as."""
READY, PREDICT = "/health/status", "/api/v1.0/predictions"

_RELEASE = "1.17.1"  # the last one under Apache-2.0
_IMAGES = {
    "SKLEARN_SERVER": f"seldonio/sklearnserver:{_RELEASE}",
    "XGBOOST_SERVER": f"seldonio/xgboostserver:{_RELEASE}",
    "MLFLOW_SERVER": f"seldonio/mlflowserver:{_RELEASE}",
}
_ELSEWHERE = {
    "TENSORFLOW_SERVER": "write runtime: tfserving, which needs no operator",
    "TRITON_SERVER": "write runtime: triton, which needs no operator",
    "HUGGINGFACE_SERVER": "write runtime: oip with implementation: mlserver_huggingface.HuggingFaceRuntime",
}


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version` as a plain Deployment has it.

    Raises:
        CannotRender: it needs Seldon's operator, has no image, or its model can't be brought to it.
    """
    protocol = deployment.spec.seldon.protocol
    if protocol != "seldon":
        instead = "tfserving" if protocol == "tensorflow" else "oip"
        raise CannotRender(
            "spec.seldon.protocol",
            f"without Seldon's operator its servers speak the protocol seldon alone; write runtime: {instead}",
        )
    image = version.image or _image(deployment, version)
    env = {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(REST),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(GRPC),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(METRICS),
        # What the microservice calls itself in its metrics.
        "PREDICTIVE_UNIT_ID": deployment.metadata.name,
        "PREDICTOR_ID": version.name,
        "SELDON_DEPLOYMENT_ID": deployment.metadata.name,
    }
    place, folder = None, None
    if version.model is not None:
        try:
            if version.implementation is None:
                place, folder, class_name = own_class(version.model, image)
                env |= {"MODEL_NAME": class_name} if class_name else {}
            else:
                place = placed(version.model, image)
                parameters = [{"name": "model_uri", "value": place.path, "type": "STRING"}]
                env["PREDICTIVE_UNIT_PARAMETERS"] = json.dumps(parameters)
        except NoSuchPlace as error:
            raise CannotRender(field(deployment, version, "model"), str(error)) from None
    return Server(
        image=image,
        rest=REST,
        grpc=GRPC,
        metrics=METRICS,
        # Answered by the class's `health_status` where it has one, and never before its `load` is through.
        ready=READY,
        predict=PREDICT,
        args=version.args,
        env=env,
        folder=folder,
        model=place,
        user=USER,
    )


def own_class(model: str, image: str) -> tuple[Placed, str, str | None]:
    """The file or folder of a class of the user's own: where it is, the folder to run in, and the class's name if said.

    The class finds its weights by relative paths, so its whole folder is brought.

    Raises:
        NoSuchPlace: it can't be brought.
    """
    above, file = posixpath.split(model.rstrip("/"))
    if not file.endswith(".py"):
        place = placed(model, image, folder=True)
        return place, place.path, None
    if model.lower().startswith("http"):
        place = placed(model, image)
        return place, posixpath.dirname(place.path), file.removesuffix(".py")
    place = placed(above or ("/" if is_local(model) else above), image)
    return place, place.path, file.removesuffix(".py")


def _image(deployment: ModelDeployment, version: Version) -> str:
    if version.implementation is None:
        raise CannotRender(
            field(deployment, version, "image"),
            "on Kubernetes a class of your own comes in an image with what it needs; build one and write image:",
        )
    if version.implementation not in _IMAGES:
        raise CannotRender(
            field(deployment, version, "implementation"),
            f"{version.implementation} needs Seldon's operator, and this version runs without it; "
            f"{_ELSEWHERE[version.implementation]}",
        )
    return _IMAGES[version.implementation]
