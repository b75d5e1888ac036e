"""ModelDeployment: what a user writes, on a laptop and on Kubernetes alike.

The one source of the document: `schema.py` and the reference in `docs/` are made from it. Each string and list has a
bound, since the custom resource's schema needs them (decision 20). Pure. The rules that span fields are in `rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from deployer.errors import TurnoutError, nearest
from deployer.model_path import absolute, checked, folder_number, is_local, local_path
from deployer.quantity import CPU_PATTERN, MEMORY_PATTERN, cores, memory_bytes
from deployer.rules import broken
from gateway.table import FieldName, FieldValue

API_VERSION = "turnout.dev/v1alpha1"
KIND = "ModelDeployment"

LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"  # RFC 1123: what Kubernetes takes as the name of anything
SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
PATH_PATTERN = r"^(/[^/:\x00]+)+$"
IMAGE_PATTERN = r"^[!-~]+$"
URL_PATTERN = r"^https?://[!-~]+$"
DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h)$"
CLASS_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*$"

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
Subdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN_PATTERN)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Words = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=4096)]], Field(max_length=64)
]
AbsolutePath = Annotated[str, Field(min_length=2, max_length=1024, pattern=PATH_PATTERN)]
Replicas = Annotated[int, Field(strict=True, ge=1, le=1000)]
EnvironmentName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
EnvironmentValue = Annotated[str, Field(max_length=4096)]


def _digits(value: object) -> object:
    """`cpu: 2` is "2", as Kubernetes has it; fractions have to be quoted there too."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked_cpu(text: str) -> str:
    cores(text)
    return text


def _checked_memory(text: str) -> str:
    memory_bytes(text)
    return text


def _checked_model(text: str) -> str:
    checked(text)
    return text


def _two_decimals(weight: float) -> float:
    if round(weight, 2) != weight:
        raise ValueError(f"{weight} has more than two decimals; the nearest weight is {round(weight, 2):g}")
    return weight


_CpuForm = Annotated[int, Field(ge=1, le=10**6 - 1)] | Annotated[str, Field(max_length=16, pattern=CPU_PATTERN)]
_MemoryForm = Annotated[int, Field(ge=1, le=10**15 - 1)] | Annotated[str, Field(max_length=32, pattern=MEMORY_PATTERN)]
Cpu = Annotated[str, Field(max_length=16), BeforeValidator(_digits, _CpuForm), AfterValidator(_checked_cpu)]
Memory = Annotated[str, Field(max_length=32), BeforeValidator(_digits, _MemoryForm), AfterValidator(_checked_memory)]
StepWeight = Annotated[float, Field(strict=True, gt=0, lt=100), AfterValidator(_two_decimals)]
Duration = Annotated[str, Field(max_length=16, pattern=DURATION_PATTERN)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class Metadata(_Part):
    """What the deployment is called."""

    name: Label
    """The deployment's name, which callers address: TensorFlow Serving's model name, Seldon's deployment name."""
    namespace: Label = "default"
    """The group that the name belongs to; two namespaces may hold the same name."""
    labels: Words = {}
    """On Kubernetes: the object's own labels."""
    annotations: Words = {}
    """On Kubernetes: the object's own annotations."""


class Amounts(_Part):
    """An amount of each resource."""

    cpu: Cpu | None = None
    """Cores: "2", "0.5", or in thousandths "500m"."""
    memory: Memory | None = None
    """Bytes with a unit: "512Mi", "2Gi"."""
    gpu: Annotated[int, Field(strict=True, ge=0, le=64)] | None = None
    """Whole GPUs, as `nvidia.com/gpu` on Kubernetes."""


class Resources(_Part):
    """What one replica of a version needs and may use."""

    requests: Amounts = Amounts()
    """What a replica is given in any case."""
    limits: Amounts = Amounts()
    """What a replica may use at most."""


class Target(_Part):
    """The load that each replica should have: one of the two. Left out, it is 4 requests in flight."""

    in_flight: Annotated[float, Field(strict=True, ge=0.1, le=10_000)] | None = None
    """Requests that a replica answers at the same time, on average."""
    cpu: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """Percent of the requested CPU that a replica uses, on average. On Kubernetes only."""


class Autoscaling(_Part):
    """How many replicas a version has. Left out, it has one."""

    min_replicas: Replicas = 1
    """Replicas that run even without load."""
    max_replicas: Replicas
    """Replicas that run at most, whatever the load."""
    target: Target = Target(in_flight=4)
    """The load that each replica should have."""


class Toleration(_Part):
    """A taint that the pods put up with, as Kubernetes has it."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """The taint's key. Left out, with `Exists`: all taints."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value counts."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """What the taint would do. Left out: any."""
    toleration_seconds: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] | None = None
    """How long a pod stays after `NoExecute`."""


class Source(_Part):
    """A Secret or a ConfigMap in the deployment's namespace: one of the two."""

    secret: Subdomain | None = None
    """A Secret's name."""
    config_map: Subdomain | None = None
    """A ConfigMap's name."""


class Volume(Source):
    """What is mounted into the model server: a Secret, a ConfigMap or a PersistentVolumeClaim; one of the three."""

    pvc: Subdomain | None = None
    """A PersistentVolumeClaim's name."""
    path: AbsolutePath
    """Where it appears."""
    read_only: bool = True
    """Whether the server may not write there."""


class Pod(_Part):
    """What only Kubernetes needs to know of a version's pods. Elsewhere it is passed over."""

    node_selector: Words = {}
    """Labels of the nodes that will do."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints that the pods put up with."""
    service_account: Subdomain | None = None
    """The pods' service account, such as one that may read the model's bucket."""
    pull_secrets: Annotated[tuple[Subdomain, ...], Field(max_length=8)] = ()
    """Secrets for pulling the image."""
    env_from: Annotated[tuple[Source, ...], Field(max_length=16)] = ()
    """Environment variables from Secrets and ConfigMaps, for the server and for what fetches its model."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16)] = ()
    """What is mounted."""


class Version(_Part):
    """One set of weights behind one server set-up."""

    name: Label
    """The version's name: what traffic names, callers may pin, and metrics carry."""
    model: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_checked_model)] | None = None
    """Where the model lies: a path or file:// path, relative to the folder of this document; on Kubernetes a path in
    the image, seen from its root. There also s3://, gs://, http://, https:// and pvc://CLAIM/PATH. For tfserving a
    SavedModel's folder; for seldon a Python file named after the model class in it, or its folder; for oip what the
    server loads. An image of seldon or oip may hold the model itself: then leave it out."""
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE_PATTERN)] | None = None
    """On Kubernetes: the server's image. Left out, it is the runtime's usual one."""
    args: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = ()
    """On Kubernetes: flags for the server, after our own."""
    implementation: Annotated[str, Field(min_length=1, max_length=253, pattern=CLASS_PATTERN)] | None = None
    """What loads the model. For seldon one of its prepackaged servers, such as SKLEARN_SERVER; for oip's mlserver the
    class of its runtime, such as mlserver_sklearn.SKLearnModel."""
    servable: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | None = None
    """TensorFlow Serving's own number for this version. Left out, it is the number that names the model's folder."""
    resources: Resources = Resources()
    """What one replica needs and may use."""
    autoscaling: Autoscaling | None = None
    """How many replicas run. Left out: one."""
    warmup: dict[Annotated[str, Field(max_length=256)], JsonValue] | None = None
    """The body of one prediction in the runtime's REST form. A replica takes traffic once it has answered it."""
    env: Annotated[dict[EnvironmentName, EnvironmentValue], Field(max_length=64)] = {}
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


class Sticky(_Part):
    """Where a request's key is: the same key gets the same version. One of the two."""

    header: FieldName | None = None
    """A header; for gRPC, metadata of that name."""
    cookie: FieldName | None = None
    """A cookie."""


class Match(_Part):
    """Requests that get a version by their headers."""

    header: Annotated[dict[FieldName, FieldValue], Field(min_length=1, max_length=8)]
    """All of these, each with exactly this value; for gRPC, metadata."""
    version: Label
    """What they get."""


class Traffic(_Part):
    """Which version answers requests that ask for none."""

    stable: Label
    """The version that answers what the canary does not."""
    canary: Label | None = None
    """The version on trial."""
    weight: Annotated[float, Field(strict=True, ge=0, le=100), AfterValidator(_two_decimals)] = 0
    """The canary's share of requests in percent, with at most two decimals. 0 means none, exactly. A rollout moves
    it by
    itself."""
    sticky: Sticky | None = None
    """What keeps a caller with one version. Left out, each request is on its own."""
    match: Annotated[tuple[Match, ...], Field(max_length=32)] = ()
    """Who gets a version whatever the weight is. The first that fits decides. None of it is evidence."""


class Pause(_Part):
    """A stop of a rollout."""

    at: StepWeight
    """The step after which it stops."""
    duration: Duration | None = Field(default=None, alias="for")
    """How long. Left out: until someone approves."""


class Objective(_Part):
    """What must not get worse."""

    margin: Annotated[float, Field(strict=True, ge=1.1, le=100)] = 2.0
    """Shown to be less than so many times stable's rate, before the canary advances."""
    max: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None
    """Never above this share of requests, whatever stable's is."""


class SlowObjective(Objective):
    """Answers that come late."""

    over: Duration
    """An answer that takes longer is slow."""


class Metric(_Part):
    """A measure of the user's own: a query in PromQL, or a webhook that answers {"value": number}."""

    name: Label
    """What it is called in reasons."""
    query: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL with one number for a result. {namespace}, {deployment}, {stable} and {canary} are replaced."""
    webhook: Annotated[str, Field(min_length=1, max_length=1024, pattern=URL_PATTERN)] | None = None
    """Gets a POST with namespace, deployment, stable, canary and weight as JSON."""
    min: float | None = None
    """The least value that is good."""
    max: float | None = None
    """The greatest value that is good."""


class Objectives(_Part):
    """What a canary is held to."""

    errors: Objective | None = Objective()
    """Requests whose first attempt failed."""
    rejections: Objective | None = Objective()
    """Requests that the version refused as wrong: 4xx, INVALID_ARGUMENT. A changed signature shows here."""
    slow: SlowObjective | None = None
    """Answers that come late."""
    metrics: Annotated[tuple[Metric, ...], Field(max_length=8)] = ()
    """Measures of the user's own."""


class Queries(_Part):
    """PromQL for the evidence, by version and epoch. Left out: the gateways' own series."""

    requests: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Requests that the split assigned."""
    bad: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """The bad ones of them, with a label signal: errors, slow, rejections."""


class Rollout(_Part):
    """How a canary takes the traffic over, by itself. Left out, the weight is moved by hand."""

    steps: Annotated[tuple[StepWeight, ...], Field(min_length=1, max_length=32)] = (5, 25, 50)
    """The canary's weights in percent, ascending. Then it is promoted to 100."""
    interval: Duration = "60s"
    """The least time of a step. It lasts until the evidence is there."""
    deadline: Duration = "1h"
    """A step without enough evidence by then is overdue, which is told; a canary that isn't ready by then is given
    up."""
    bake: Duration = "10m"
    """After the promotion, the time in which the version before stays ready to take the traffic back."""
    pauses: Annotated[tuple[Pause, ...], Field(max_length=32)] = ()
    """Stops on the way."""
    objectives: Objectives = Objectives()
    """What the canary is held to."""
    evidence: Literal["gateways", "prometheus"] = "gateways"
    """Who is asked for the counts. Prometheus knows nothing of sticky keys."""
    queries: Queries = Queries()
    """What Prometheus is asked."""
    allow_signature_change: Annotated[bool, Field(strict=True)] = False
    """Whether the canary may have other inputs and outputs than stable."""
    notify: Annotated[str, Field(min_length=1, max_length=1024, pattern=URL_PATTERN)] | None = None
    """Gets a CloudEvent for each thing that happens to the rollout."""


class Seldon(_Part):
    """What only the runtime seldon has."""

    operator: bool | None = None
    """On Kubernetes: whether each version is a SeldonDeployment, which Seldon's operator runs, or a plain Deployment of
    the same image. Left out: a SeldonDeployment where its custom resource is installed."""
    protocol: Literal["seldon", "tensorflow", "v2"] = "seldon"
    """What the servers speak."""


class Ports(_Part):
    """Where a server listens in its container."""

    rest: Port
    """HTTP."""
    grpc: Port
    """gRPC."""
    metrics: Port | None = None
    """Prometheus' metrics, where it has any."""


class Oip(_Part):
    """What only the runtime oip has."""

    server: Literal["mlserver", "triton", "other"] = "mlserver"
    """Which server of the Open Inference Protocol. `other` needs an image and ports."""
    ports: Ports | None = None
    """Where it listens. Left out: the server's usual ports."""


class Spec(_Part):
    """The model's versions and its traffic."""

    runtime: Literal["tfserving", "seldon", "oip"]
    """What serves the versions: TensorFlow Serving, Seldon's servers, or a server of the Open Inference Protocol."""
    seldon: Seldon = Seldon()
    """What only the runtime seldon has."""
    oip: Oip = Oip()
    """What only the runtime oip has."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=32)]
    """All versions that run now."""
    traffic: Traffic
    """Which version answers what."""
    rollout: Rollout | None = None
    """How the canary takes the traffic over. Left out, the weight is moved by hand."""


class ModelDeployment(_Part):
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
