"""A version's Triton in a pod. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from deployer.kubernetes.manifests.basics import CannotRender, field
from deployer.kubernetes.manifests.model import NoSuchPlace, Placed, placed
from deployer.runtimes.base import Server

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

IMAGE = "nvcr.io/nvidia/tritonserver:25.08-py3"
REST, GRPC, METRICS = 8000, 8001, 8002
"""The image's usual ports."""

_USER = 1000
"""Triton's own, though its image begins as root."""


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version`.

    Raises:
        CannotRender: its model can't be brought to it.
    """
    name, image = deployment.metadata.name, version.image or IMAGE
    path = f"/v2/models/{quote(name, safe='')}"
    place: Placed | None = None
    repository: tuple[str, ...] = ()
    if version.model is not None:
        # A numbered folder is one version of the model, another one the model itself: with config.pbtxt and versions.
        wanted = f"{name}/{version.number}" if version.number else name
        try:
            place = placed(version.model, image, wanted, alone=version.number is not None)
        except NoSuchPlace as error:
            raise CannotRender(field(deployment, version, "model"), str(error)) from None
        repository = (f"--model-repository={place.path.removesuffix(f'/{wanted}') or '/'}",)
    return Server(
        image=image,
        rest=REST,
        grpc=GRPC,
        metrics=METRICS,
        ready=f"{path}/ready",
        predict=f"{path}/infer",
        args=(
            *("tritonserver", f"--http-port={REST}", f"--grpc-port={GRPC}", f"--metrics-port={METRICS}"),
            *(*repository, *version.args),
        ),
        model=place,
        user=_USER,
    )
