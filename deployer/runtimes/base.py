"""What Turnout has to know of a runtime, and what it takes to run a version's servers. Pure.

A runtime knows the document by its types alone: the document is checked by the runtimes' rules, and so imports them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from deployer.document import values
from deployer.document.fields import Part
from deployer.errors import TurnoutError
from deployer.kubernetes.crd.cel_rule import Node, Rule
from deployer.rollout.analysis.signature import Signature
from gateway.contract import route_table

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Spec, Version
    from deployer.kubernetes.manifests.basics import Object, Options
    from deployer.kubernetes.manifests.model import Placed

HOST = "127.0.0.1"
"""Where replicas listen: a laptop's model servers are nobody else's business (0024-environments-ports-loopback)."""
CONFIG_FOLDER = "/etc/turnout"
"""Where a server in a container finds the files that are written for it."""


class ModelMissing(TurnoutError):
    """There is no model of the runtime's kind where the document says."""


@dataclass(frozen=True)
class Launch:
    """One replica of a version, as the supervisor wants it run.

    `version` is the version's name. `model` is what the runtime's `located` gave. `folder` is the replica's own,
    absolute and writable. `program` is what `deployer.local.environments.program` gave: a model server, or the Python
    of the runtime's environment. `warmup` is the body of a prediction in the runtime's REST form.
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
    """A replica's process and how to ask after it; `deployer.local.probes` does the asking.

    `files` are to be written, and `links` made (link -> what it points to), before the start, with the folders that
    they need. The replica lives while both its ports accept connections.
    """

    server: str
    """What people see in `status`, such as `tensorflow_model_server`, `stand-in` or `mlserver`."""
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


@dataclass(frozen=True)
class Reserved:
    """Flags (without dashes) and variables by which Turnout says where a server listens and what it loads. Others
    would have it listen where nobody asks, or serve what nobody declared."""

    flags: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """One version's server in its container, from which pods are made."""

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


Exchange: TypeAlias = Generator[GrpcCall, bytes, Any]
"""Calls to make one after the other. It is sent the answer to each, and returns what they come to."""


class ServingProtocol(ABC):
    """What a server's callers speak. It bears the name of the runtime that it came from."""

    name: ClassVar[route_table.ProtocolFamily]

    @abstractmethod
    def body(self, rows: list[Any]) -> dict[str, Any]:
        """The REST body that asks for a prediction of each row.

        Raises:
            TurnoutError: it can't be made of these rows.
        """

    @abstractmethod
    def path(self, namespace: str, deployment: str) -> str:
        """Where a gateway takes such a body."""

    @abstractmethod
    def exchange(self, deployment: str, body: dict[str, Any]) -> Exchange:
        """The same prediction over gRPC; returns the answer in its REST form.

        Raises:
            TurnoutError: the body is none of the protocol's, or not one for this model.
        """

    def metadata(self, namespace: str, deployment: str) -> dict[str, str]:
        """What of the address is not in the messages over gRPC."""
        return {}

    @abstractmethod
    def signature_path(self, deployment: str) -> str:
        """Where a server tells its model's signature over REST."""

    @abstractmethod
    def signature(self, answer: Any) -> Signature:
        """What `answer`, the JSON that is told there, says. Raises ValueError, TypeError, LookupError or AttributeError
        where it is no such answer."""


class Runtime(ABC):
    """A kind of model server. It has a folder of its name, and in that the `lock.txt` of its environment."""

    name: ClassVar[str]
    """The document's `spec.runtime`."""
    title: ClassVar[str]
    """What people call it."""
    models: ClassVar[str]
    """What a version's model is, in words that follow "for NAME"."""
    protocol: ClassVar[ServingProtocol]
    """What its servers speak, unless the document says otherwise."""

    section: ClassVar[type[Part] | None] = None
    """What of the document it has alone, at `spec.NAME`."""
    needs_model: ClassVar[bool] = False
    """Whether each version has a model of its own. Else it may lie in the image."""
    has_implementations: ClassVar[bool] = False
    """Whether a version may say what loads its model."""
    is_numbered: ClassVar[bool] = False
    """Whether its versions have servable numbers."""
    cel: ClassVar[Mapping[Node, tuple[Rule, ...]]] = {}
    """What `rules` says, for the API server: rules by the node of the schema."""

    binary: ClassVar[str | None] = None
    """A program that serves in place of the environment's where it is on PATH."""
    knows_models: ClassVar[bool] = True
    """Whether it can be told of any file or folder that it is no model, before a server has tried."""

    def rules(self, spec: dict[str, Any]) -> Iterator[values.Violation]:
        """The rules of its own that a document's `spec`, plain data, breaks."""
        yield from ()

    def reserved(self, version: dict[str, Any], spec: dict[str, Any]) -> Reserved:
        """What a version's own flags and variables would take from Turnout; both are plain data."""
        return Reserved()

    def speaks(self, spec: Spec) -> ServingProtocol:
        """What the servers of such a deployment speak."""
        return self.protocol

    def servable(self, spec: Spec, version: Version) -> int | None:
        """The number that the version's servers know it by, and callers may pin."""
        return version.number if self.is_numbered else None

    def local_limits(self, spec: Spec) -> Iterator[tuple[values.Path, str]]:
        """Fields that ask for what this runtime can do on Kubernetes only, and what to write instead."""
        yield from ()

    @abstractmethod
    def located(self, path: Path) -> Path:
        """What a server on this machine loads of the model at `path`, where something lies. Looks at files.

        Raises:
            ModelMissing: it is no model of the runtime's; the text says what to do.
        """

    @abstractmethod
    def process(self, launch: Launch) -> Process:
        """The process that serves `launch` on this machine.

        Raises:
            ValueError: the launch lacks what the server needs.
        """

    @abstractmethod
    def container(self, deployment: ModelDeployment, version: Version, options: Options) -> Server:
        """The server of `version` in a pod.

        Raises:
            CannotRender: it can't be had on Kubernetes, or not on a cluster with these options.
        """

    def resource(
        self, deployment: ModelDeployment, version: Version, server: Server, options: Options, metadata: Object
    ) -> Object | None:
        """The object of somebody else's kind that runs the version, with its autoscaling, in place of a Deployment."""
        return None
