"""What of the document only the runtime `oip` has. Pure."""

from __future__ import annotations

from typing import Literal

from deployer.document.fields import Part, Port


class Ports(Part):
    """Where a server listens in its container."""

    rest: Port
    """HTTP."""
    grpc: Port
    """gRPC."""
    metrics: Port | None = None
    """Prometheus' metrics, where it has any."""


class OipSection(Part):
    """What only the runtime oip has."""

    server: Literal["mlserver", "other"] = "mlserver"
    """Which server of the Open Inference Protocol. `other` needs an image and ports."""
    ports: Ports | None = None
    """Where it listens. Left out: the server's usual ports."""
