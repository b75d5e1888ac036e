"""What a ModelDeployment says of a version's pods. Pure. The rules that span fields are in `pod_rules.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deployer.document.fields import AbsolutePath, Part, Subdomain, Words


class Toleration(Part):
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


class Source(Part):
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


class Pod(Part):
    """What only Kubernetes needs to know of a version's pods. Elsewhere it is passed over."""

    node_selector: Words = Field(default_factory=dict)
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
