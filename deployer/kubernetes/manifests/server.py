"""What a runtime's module says of a version's server, from which pods are made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.kubernetes.manifests.model import Placed

CONFIG_FOLDER = "/etc/turnout"
"""Where a server finds the files that are written for it."""


@dataclass(frozen=True)
class Server:
    """One version's server in its container."""

    image: str
    rest: int
    grpc: int
    metrics: int | None
    """Ports. That of the metrics may be REST's."""
    ready: str
    """A path that answers 200 over REST once the model is available."""
    predict: str
    """The path of a prediction over REST: where a warm-up goes."""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    """Its working directory, if not the image's."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by the names of files in CONFIG_FOLDER."""
    model: Placed | None = None
    user: int | None = None
    """Who it runs as; None where nothing is known of the image, which then says it."""
    writes_nothing: bool = False
    """Whether the image's file system may be read-only."""
