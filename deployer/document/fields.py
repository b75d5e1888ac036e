"""The kinds of fields that the document has, and what its parts have in common. Pure.

Each string and list has a bound, since the custom resource's schema needs them (0020-a-structural-schema-with-bounds).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from deployer.document.model_uri import checked
from deployer.document.units import CPU_PATTERN, DURATION_PATTERN, MEMORY_PATTERN, cores, memory_bytes
from gateway.contract.headers import ORIGIN_PATTERN

LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"  # RFC 1123: what Kubernetes takes as the name of anything
SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
PATH_PATTERN = r"^(/[^/:\x00]+)+$"
IMAGE_PATTERN = r"^[!-~]+$"
URL_PATTERN = r"^https?://[!-~]+$"
ENVIRONMENT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
CLASS_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*$"

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
Subdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN_PATTERN)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Words = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=4096)]], Field(max_length=64)
]
AbsolutePath = Annotated[str, Field(min_length=2, max_length=1024, pattern=PATH_PATTERN)]
Replicas = Annotated[int, Field(strict=True, ge=1, le=1000)]
EnvironmentName = Annotated[str, Field(max_length=128, pattern=ENVIRONMENT_PATTERN)]
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


def two_decimals(weight: float) -> float:
    """`weight`, which has two decimals at most.

    Raises:
        ValueError: it has more.
    """
    if round(weight, 2) != weight:
        raise ValueError(f"{weight} has more than two decimals; the nearest weight is {round(weight, 2):g}")
    return weight


_CpuForm = Annotated[int, Field(ge=1, le=10**6 - 1)] | Annotated[str, Field(max_length=16, pattern=CPU_PATTERN)]
_MemoryForm = Annotated[int, Field(ge=1, le=10**15 - 1)] | Annotated[str, Field(max_length=32, pattern=MEMORY_PATTERN)]
Cpu = Annotated[str, Field(max_length=16), BeforeValidator(_digits, _CpuForm), AfterValidator(_checked_cpu)]
Memory = Annotated[str, Field(max_length=32), BeforeValidator(_digits, _MemoryForm), AfterValidator(_checked_memory)]
Model = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_checked_model)]
StepWeight = Annotated[float, Field(strict=True, ge=0.01, le=99.99), AfterValidator(two_decimals)]
Url = Annotated[str, Field(min_length=1, max_length=1024, pattern=URL_PATTERN)]
Origin = Annotated[str, Field(max_length=256, pattern=ORIGIN_PATTERN)]
Duration = Annotated[str, Field(max_length=16, pattern=DURATION_PATTERN)]


class Part(BaseModel):
    """What all parts of the document have in common: nothing unknown in them, names as in YAML, no changes."""

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
