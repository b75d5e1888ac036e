"""ModelDeployment: what a user writes, on a laptop and on Kubernetes alike.

The one source of the document: `json_schema.py` and the reference in `docs/` are made from it. Pure. What it says of
rollouts is in `rollout.py`, of pods in `pod.py`; the rules that span fields are in `rules.py`, what only one
runtime has in that one's folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from deployer.document.fields import (
    CLASS_PATTERN,
    IMAGE_PATTERN,
    Cpu,
    Duration,
    EnvironmentName,
    EnvironmentValue,
    Label,
    Memory,
    Model,
    Origin,
    Part,
    Replicas,
    Words,
    two_decimals,
)
from deployer.document.model_uri import absolute, folder_number, is_local, local_path
from deployer.document.pod import Pod
from deployer.document.rollout import Match, Rollout, Sticky
from deployer.document.rules import broken
from deployer.errors import TurnoutError, nearest
from deployer.runtimes.base import Runtime
from deployer.runtimes.oip.section import OipSection
from deployer.runtimes.registry import RUNTIMES
from deployer.runtimes.seldon.section import SeldonSection

API_VERSION = "turnout.dev/v1alpha1"
KIND = "ModelDeployment"

if TYPE_CHECKING:
    RuntimeName = str
else:
    RuntimeName = Literal[tuple(RUNTIMES)]
_NEED = [name for name, runtime in RUNTIMES.items() if runtime.needs_model]
_SERVED = f"What serves the versions. {'; '.join(f'{name}: {runtime.title}' for name, runtime in RUNTIMES.items())}."
_MODEL = (
    "Where the model lies: a path or file:// path, relative to the folder of this document; on Kubernetes a path in "
    "the image, seen from its root. There also s3://, gs://, http://, https:// and pvc://CLAIM/PATH. It is "
    f"{'; '.join(f'for {name} {runtime.models}' for name, runtime in RUNTIMES.items())}. "
    f"Where the image holds the model itself, which {' and '.join(_NEED)} can't use, leave it out."
)


class Metadata(Part):
    """What the deployment is called."""

    name: Label
    """The deployment's name, which callers address: TensorFlow Serving's model name, Seldon's deployment name."""
    namespace: Label = "default"
    """The group that the name belongs to; two namespaces may hold the same name."""
    labels: Words = Field(default_factory=dict)
    """On Kubernetes: the object's own labels."""
    annotations: Words = Field(default_factory=dict)
    """On Kubernetes: the object's own annotations."""


class Amounts(Part):
    """An amount of each resource."""

    cpu: Cpu | None = None
    """Cores: "2", "0.5", or in thousandths "500m"."""
    memory: Memory | None = None
    """Bytes with a unit: "512Mi", "2Gi"."""
    gpu: Annotated[int, Field(strict=True, ge=0, le=64)] | None = None
    """Whole GPUs, as `nvidia.com/gpu` on Kubernetes."""


class Resources(Part):
    """What one replica of a version needs and may use."""

    requests: Amounts = Amounts()
    """What a replica is given in any case."""
    limits: Amounts = Amounts()
    """What a replica may use at most."""


class Target(Part):
    """The load that each replica should have: one of the two. Left out, it is 4 requests in flight."""

    in_flight: Annotated[float, Field(strict=True, ge=0.1, le=10_000)] | None = None
    """Requests that a replica answers at the same time, on average."""
    cpu: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """Percent of the requested CPU that a replica uses, on average. On Kubernetes only."""


class Autoscaling(Part):
    """How many replicas a version has. Left out, it has one."""

    min_replicas: Replicas = 1
    """Replicas that run even without load."""
    max_replicas: Replicas
    """Replicas that run at most, whatever the load."""
    target: Target = Target(in_flight=4)
    """The load that each replica should have."""


class Version(Part):
    """One set of weights behind one server set-up."""

    name: Label
    """The version's name: what traffic names, callers may pin, and metrics carry."""
    model: Annotated[Model | None, Field(description=_MODEL)] = None
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE_PATTERN)] | None = None
    """On Kubernetes: the server's image. Left out, it is the runtime's usual one."""
    args: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = ()
    """On Kubernetes: flags for the server, after our own, which say where it listens and what it loads."""
    implementation: Annotated[str, Field(min_length=1, max_length=253, pattern=CLASS_PATTERN)] | None = None
    """What loads the model. For seldon one of its prepackaged servers, such as SKLEARN_SERVER; for oip's mlserver the
    class of its runtime, such as mlserver_sklearn.SKLearnModel."""
    servable: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | None = None
    """The number by which TensorFlow Serving or Triton knows this version. Left out, it is the one that names the
    model's folder."""
    resources: Resources = Resources()
    """What one replica needs and may use."""
    autoscaling: Autoscaling | None = None
    """How many replicas run. Left out: one."""
    warmup: dict[Annotated[str, Field(max_length=256)], JsonValue] | None = None
    """The body of one prediction in the runtime's REST form. A replica takes traffic once it has answered it."""
    env: Annotated[dict[EnvironmentName, EnvironmentValue], Field(max_length=64)] = Field(default_factory=dict)
    """Environment variables of the model server."""
    pod: Pod = Pod()
    """What only Kubernetes needs to know."""

    @property
    def path(self) -> str:
        """The model's path, without `file://`; absolute once the deployment is `resolved`.

        Raises:
            ValueError: the model is not on this machine, or there is none.
        """
        if self.model is None:
            raise ValueError(f"version {self.name} has no model, but an image: that runs on Kubernetes")
        return local_path(self.model)

    @property
    def number(self) -> int | None:
        """The servable number: the one written, else the folder's."""
        return self.servable or (folder_number(self.model) if self.model else None)

    @property
    def replicas(self) -> tuple[int, int]:
        """The fewest and the most replicas."""
        return (self.autoscaling.min_replicas, self.autoscaling.max_replicas) if self.autoscaling else (1, 1)


class Traffic(Part):
    """Which version answers requests that ask for none."""

    stable: Label
    """The version that answers what the canary does not."""
    canary: Label | None = None
    """The version on trial."""
    weight: Annotated[float, Field(strict=True, ge=0, le=100), AfterValidator(two_decimals)] = 0
    """The canary's share of requests in percent, with at most two decimals. 0 means none, exactly. A rollout
    moves it by itself."""
    sticky: Sticky | None = None
    """What keeps a caller with one version. Left out, each request is decided on its own."""
    match: Annotated[tuple[Match, ...], Field(max_length=32)] = ()
    """Who gets a version whatever the weight is. The first that fits decides. Such requests are no evidence."""


class Cors(Part):
    """Pages that may ask by fetch."""

    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=32)]
    """Scheme, host and port of each, such as https://app.example.com; "*" for all."""


class Spec(Part):
    """The model's versions and its traffic."""

    runtime: Annotated[RuntimeName, Field(description=_SERVED)]
    seldon: SeldonSection = SeldonSection()
    """What only the runtime seldon has."""
    oip: OipSection = OipSection()
    """What only the runtime oip has."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=32)]
    """All versions that run now."""
    traffic: Traffic
    """Which version answers what."""
    timeout: Duration | None = None
    """The deadline of a request that names none, up to 24h. Gateways have a bound of their own, by default an hour.
    Left out: theirs for all, 60s."""
    max_message_bytes: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)] | None = None
    """The largest body or gRPC message of a request. Left out, and at most: what gateways take, by default 64 MiB."""
    cors: Cors | None = None
    """Which web pages may see answers. The gateway answers their preflights. Left out: what the servers say of it."""
    rollout: Rollout | None = None
    """How a canary takes the traffic over by itself. Left out, its weight is moved by hand."""


class ModelDeployment(Part):
    """One model, its versions and how its traffic is split between them."""

    api_version: Literal["turnout.dev/v1alpha1"]
    """The form of this document."""
    kind: Literal["ModelDeployment"]
    """What this document is."""
    metadata: Metadata
    """What the deployment is called."""
    spec: Spec
    """The model's versions and its traffic."""

    @model_validator(mode="after")
    def _parts_agree(self) -> ModelDeployment:
        for rule in broken(self.model_dump(exclude_unset=True, exclude_none=True)):
            raise ValueError(f"{'.'.join(map(str, rule.path))}: {rule.message}")
        return self

    @property
    def key(self) -> str:
        """What the deployment is known by everywhere: its namespace and name."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def runtime(self) -> Runtime:
        """What serves the versions."""
        return RUNTIMES[self.spec.runtime]

    @property
    def by_name(self) -> dict[str, Version]:
        """The versions by their names."""
        return {version.name: version for version in self.spec.versions}

    def version(self, name: str) -> Version:
        """The version called `name`, as a person typed it.

        Raises:
            TurnoutError: there is none.
        """
        if name not in self.by_name:
            near = nearest(name, self.by_name)
            hint = f"did you mean {near}?" if near else f"its versions are {', '.join(self.by_name)}"
            raise TurnoutError(f"{self.key} has no version {name}; {hint}")
        return self.by_name[name]

    def resolved(self, folder: str) -> ModelDeployment:
        """The same with each model's path absolute, where relative ones are seen from `folder` (absolute)."""
        versions = tuple(
            version.model_copy(update={"model": absolute(version.model, folder)})
            if version.model is not None and is_local(version.model)
            else version
            for version in self.spec.versions
        )
        return self.model_copy(update={"spec": self.spec.model_copy(update={"versions": versions})})
