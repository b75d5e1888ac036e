"""What of the document only the runtime `seldon` has. Pure."""

from __future__ import annotations

from typing import Literal

from deployer.document.fields import Part


class SeldonSection(Part):
    """What only the runtime seldon has."""

    operator: bool | None = None
    """On Kubernetes: whether each version is a SeldonDeployment, which Seldon's operator runs, or a plain Deployment of
    the same image. Left out: a SeldonDeployment where its custom resource is installed."""
    protocol: Literal["seldon", "tensorflow", "v2"] = "seldon"
    """What the servers speak."""
