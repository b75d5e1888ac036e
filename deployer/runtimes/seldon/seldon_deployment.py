"""A version as a SeldonDeployment, which Seldon's operator runs. Pure.

One for each version: within one, Seldon's operator splits traffic by its own means, and lets no predictor be ready
before all are (0016-one-seldondeployment-per-version). Its pods carry our labels, so our Service finds them; the ports
are those of Seldon's orchestrator, which runs beside the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.document.model_uri import is_local
from deployer.kubernetes.manifests import pod
from deployer.kubernetes.manifests.autoscaling import seldon_autoscaling
from deployer.kubernetes.manifests.basics import CannotRender, Object, Options, field
from deployer.kubernetes.manifests.model import NoSuchPlace
from deployer.kubernetes.objects import names
from deployer.runtimes.base import Server
from deployer.runtimes.seldon.container import PREDICT, READY, USER, own_class

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

REST, GRPC = 8000, 5001
"""The orchestrator's ports; its metrics are on REST's."""

_HTTP = "http"
"""What Seldon's operator calls the server's own port."""


def is_used(deployment: ModelDeployment, options: Options) -> bool:
    """Whether the versions of `deployment` are SeldonDeployments.

    Raises:
        CannotRender: they are to be, and the cluster has none.
    """
    wanted = deployment.spec.seldon.operator
    if wanted and not options.seldon_crd:
        raise CannotRender(
            "spec.seldon.operator",
            "Seldon's custom resource is not installed; install Seldon Core, or write operator: false",
        )
    return options.seldon_crd if wanted is None else wanted


def server(deployment: ModelDeployment, version: Version) -> Server:
    """The server of `version` behind Seldon's orchestrator. An image that Seldon knows better is left empty.

    Raises:
        CannotRender: it has no image, or its model can't be brought to it.
    """
    path = field(deployment, version, "model")
    place, folder, env = None, None, {}
    if version.implementation is not None:
        if version.model is None or is_local(version.model) or version.model.lower().startswith("http"):
            raise CannotRender(
                path,
                "Seldon's operator fetches the models of prepackaged servers from s3://, gs:// and pvc:// only; "
                "put it there, or write operator: false under spec.seldon",
            )
    elif version.image is None:
        raise CannotRender(
            field(deployment, version, "image"),
            "on Kubernetes a class of your own comes in an image with what it needs; build one and write image:",
        )
    elif version.model is not None:
        try:
            place, folder, class_name = own_class(version.model, version.image)
        except NoSuchPlace as error:
            raise CannotRender(path, str(error)) from None
        env = {"MODEL_NAME": class_name} if class_name else {}
    return Server(
        image=version.image or "",
        rest=REST,
        grpc=GRPC,
        metrics=REST,
        ready=READY,
        predict=_predict(deployment),
        args=version.args,
        env=env,
        folder=folder,
        model=place,
        user=USER,
    )


def seldon_deployment(
    deployment: ModelDeployment, version: Version, server: Server, options: Options, metadata: Object
) -> Object:
    """The SeldonDeployment of `version`, which `server` above describes."""
    name = deployment.metadata.name
    template = pod.template(deployment, version, server, metadata["name"])
    scaling = seldon_autoscaling(deployment, version, options)
    predictor: Object = {
        "name": version.name,
        # Not all of our labels: Seldon's operator has some of those itself.
        "labels": names.selector(name, version.name),
        **({"annotations": annotations} if (annotations := template["metadata"].get("annotations")) else {}),
        "traffic": 100,
        "progressDeadlineSeconds": pod.PROGRESS,
        **({} if scaling else {"replicas": version.replicas[0]}),
        "graph": _graph(deployment, version),
        "componentSpecs": [{"spec": _component(deployment, version, template["spec"]), **scaling}],
    }
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": metadata,
        # No name in it: Seldon's operator would call what it makes by that, and all versions have the same.
        "spec": {"protocol": deployment.spec.seldon.protocol, "predictors": [predictor]},
    }


def _graph(deployment: ModelDeployment, version: Version) -> Object:
    graph: Object = {"name": deployment.metadata.name, "type": "MODEL"}
    if version.implementation is not None:
        graph |= {"implementation": version.implementation, "modelUri": version.model}
        if version.pod.service_account is not None:
            graph["serviceAccountName"] = version.pod.service_account
        if secret := next((source.secret for source in version.pod.env_from if source.secret), None):
            # By the variables of this Secret, Seldon's own container fetches the model.
            graph["envSecretRefName"] = secret
    return graph


def _component(deployment: ModelDeployment, version: Version, spec: Object) -> Object:
    """The pods' `spec`, without what Seldon's operator has of its own: the server's ports, and a pause before its end,
    which its resource could not have as ours. Probes that are not of the protocol are Seldon's too."""
    server, *beside = spec["containers"]
    server = {name: part for name, part in server.items() if name not in ("ports", "lifecycle")}
    probes = {name: part for name, part in server.items() if name.endswith("Probe")}
    for name, probe in probes.items():
        del server[name]
        if deployment.spec.seldon.protocol == "seldon":
            kind = "httpGet" if "httpGet" in probe else "tcpSocket"
            server[name] = {**probe, kind: {**probe[kind], "port": _HTTP}}
    # The graph knows the container by its name.
    return {**spec, "containers": [{**server, "name": deployment.metadata.name}, *beside]}


def _predict(deployment: ModelDeployment) -> str:
    name = deployment.metadata.name
    return {
        "seldon": PREDICT,
        "tensorflow": f"/v1/models/{name}:predict",
        "v2": f"/v2/models/{name}/infer",
    }[deployment.spec.seldon.protocol]
