"""What Turnout has to know of a runtime, and what it takes to run one replica of a version. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

HOST = "127.0.0.1"
"""Where replicas listen: a laptop's model servers are nobody else's business (decision 24)."""


@dataclass(frozen=True)
class Launch:
    """One replica of a version, as the supervisor wants it run.

    `version` is the version's name. `model` is what `deployer.local.models.located` gave: the SavedModel's folder, the
    file of the model class, or whatever MLServer's `implementation` loads. `folder` is the replica's own, absolute and
    writable. `program` is what `deployer.local.environments.program` gave: a model server, or the Python of the
    runtime's environment. `warmup` is the body of a prediction in the runtime's REST form.
    """

    deployment: str
    version: str
    servable: int | None
    model: Path
    rest: int
    grpc: int
    folder: Path
    program: Path
    warmup: Mapping[str, Any] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    implementation: str | None = None


@dataclass(frozen=True)
class RestCall:
    """An HTTP request to a replica. A body is JSON."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True)
class GrpcCall:
    """A unary gRPC request to a replica: the full method, and the message as it goes on the wire."""

    path: str
    message: bytes


@dataclass(frozen=True)
class Process:
    """A replica's process and how to ask after it; `deployer.local.readiness` does the asking.

    `files` are to be written, and `links` made (link -> what it points to), before the start, with the folders that
    they need. The replica lives while both its ports accept connections.
    """

    server: str
    """What people see in `status`: `tensorflow_model_server`, `stand-in`, `seldon-core-microservice` or `mlserver`."""
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """What is added to the supervisor's own environment."""
    cwd: Path
    files: Mapping[Path, str]
    links: Mapping[Path, Path]
    rest: int
    grpc: int
    ready: RestCall
    """Answers 200 once the model is available, over REST."""
    ready_grpc: GrpcCall
    """Is answered once the model is available, over gRPC."""
    warmup: RestCall | None
    """The prediction that the user gave, over REST."""
    warmup_grpc: GrpcCall | None
    """The same over gRPC, where that port is served by another process than REST's."""
    status: RestCall | None = None
    """Tells how far the loading is, where a server has that. `failure` reads its JSON."""
    failure: Callable[[Any], str | None] = lambda status: None
    """Why the model will never be available, by the JSON that `status` answered; None while there is hope."""
    derive: Callable[[Any], RestCall | None] = lambda description: None
    """A warm-up made up from the JSON that `ready` answered; None if it can't be."""


class Runtime(ABC):
    """A kind of model server. It has a folder of its name, and in that the `lock.txt` of its environment."""

    name: ClassVar[str]
    """The document's `spec.runtime`."""
    title: ClassVar[str]
    """What people call it."""
    binary: ClassVar[str | None] = None
    """A program that serves in place of the environment's where it is on PATH."""

    @abstractmethod
    def process(self, launch: Launch) -> Process:
        """The process that serves `launch` on this machine.

        Raises:
            ValueError: the launch lacks what the server needs.
        """
