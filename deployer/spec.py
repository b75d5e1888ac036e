"""ModelDeployment: what a user writes, on a laptop and on Kubernetes alike.

The one source of the document: `schema.py` and the reference in `docs/` are made from it. Each string and list has a
bound, since the custom resource's schema needs them (decision 20). Pure. The rules that span fields are in `rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from deployer.errors import TurnoutError, nearest
from deployer.model_path import absolute, folder_number, local_path
from deployer.quantity import CPU_PATTERN, MEMORY_PATTERN, cores, memory_bytes
from deployer.rules import broken

API_VERSION = "turnout.dev/v1alpha1"
KIND = "ModelDeployment"

LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"  # RFC 1123: what Kubernetes takes as the name of anything

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
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
    local_path(text)
    return text


def _two_decimals(weight: float) -> float:
    if round(weight, 2) != weight:
        raise ValueError(f"{weight} has more than two decimals; the nearest weight is {round(weight, 2):g}")
    return weight


_CpuForm = Annotated[int, Field(ge=1, le=10**6 - 1)] | Annotated[str, Field(max_length=16, pattern=CPU_PATTERN)]
_MemoryForm = Annotated[int, Field(ge=1, le=10**15 - 1)] | Annotated[str, Field(max_length=32, pattern=MEMORY_PATTERN)]
Cpu = Annotated[str, Field(max_length=16), BeforeValidator(_digits, _CpuForm), AfterValidator(_checked_cpu)]
Memory = Annotated[str, Field(max_length=32), BeforeValidator(_digits, _MemoryForm), AfterValidator(_checked_memory)]


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


class Amounts(_Part):
    """An amount of each resource."""

    cpu: Cpu | None = None
    """Cores: "2", "0.5", or in thousandths "500m"."""
    memory: Memory | None = None
    """Bytes with a unit: "512Mi", "2Gi"."""


class Resources(_Part):
    """What one replica of a version needs and may use."""

    requests: Amounts = Amounts()
    """What a replica is given in any case."""
    limits: Amounts = Amounts()
    """What a replica may use at most."""


class Target(_Part):
    """The load at which one more replica is started."""

    in_flight: Annotated[float, Field(strict=True, ge=0.1, le=10_000)] = 4
    """Requests that a replica answers at the same time, on average."""


class Autoscaling(_Part):
    """How many replicas a version has. Left out, it has one."""

    min_replicas: Replicas = 1
    """Replicas that run even without load."""
    max_replicas: Replicas
    """Replicas that run at most, whatever the load."""
    target: Target = Target()
    """The load that each replica should have."""


class Version(_Part):
    """One set of weights behind one server set-up."""

    name: Label
    """The version's name: what traffic names, callers may pin, and metrics carry."""
    model: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_checked_model)]
    """Where the model lies: a path or file:// path, relative to the folder of this document. For tfserving a
    SavedModel's folder, for seldon a Python file named after the model class in it, or its folder."""
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

    @property
    def path(self) -> str:
        """The model's folder, without `file://`; absolute once the deployment is `resolved`."""
        return local_path(self.model)

    @property
    def number(self) -> int | None:
        """The servable number: the one written, else the folder's."""
        return self.servable or folder_number(self.model)

    @property
    def replicas(self) -> tuple[int, int]:
        """The fewest and the most replicas."""
        return (self.autoscaling.min_replicas, self.autoscaling.max_replicas) if self.autoscaling else (1, 1)


class Traffic(_Part):
    """Which version answers requests that ask for none."""

    stable: Label
    """The version that answers what the canary does not."""
    canary: Label | None = None
    """The version on trial."""
    weight: Annotated[float, Field(strict=True, ge=0, le=100), AfterValidator(_two_decimals)] = 0
    """The canary's share of requests in percent, with at most two decimals. 0 means none, exactly."""


class Spec(_Part):
    """The model's versions and its traffic."""

    runtime: Literal["tfserving", "seldon"]
    """What serves the versions: TensorFlow Serving, or Seldon's Python microservice."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=32)]
    """All versions that run now."""
    traffic: Traffic
    """Which version answers what."""


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
        for rule in broken(self.model_dump(exclude_none=True)):
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
            version.model_copy(update={"model": absolute(version.model, folder)}) for version in self.spec.versions
        )
        return self.model_copy(update={"spec": self.spec.model_copy(update={"versions": versions})})
