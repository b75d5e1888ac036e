"""One look at a deployment's rollout, for every target: what to keep, whom to give the traffic, how many replicas.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.rollout.evidence import Reading
from deployer.rollout.kept import Kept
from deployer.rollout.signature import Signature
from deployer.rollout.state import Order
from deployer.spec import ModelDeployment
from gateway import table


@dataclass(frozen=True)
class Sight:
    """What a target sees of one deployment now.

    `now`: seconds since 1970, since it goes on over restarts. `route`: as gateways were last given it; `settled`: every
    gateway that serves has it in force. `ready`: for each version the replicas that answer and are warmed,
    `desired`: those that
    there should be. `readings`: what the sources of evidence say; `unread`: the sources that should have said
    something and did not.
    `metrics`: the user's own, by name; None where it can't be read. `signatures`: by version, where known.
    `failures`: for each
    version how often its replicas have failed since they were declared, and why the last one did. `order`: what a
    person asked for
    last, and a token that tells it from the one before.
    """

    now: float
    route: table.Deployment | None
    settled: bool
    ready: Mapping[str, int]
    desired: Mapping[str, int]
    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    failures: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    order: tuple[str, Order] | None = None


@dataclass(frozen=True)
class Roles:
    """Who gets the requests that ask for no version. `salt`: of the cohorts, one for each rollout."""

    stable: str
    canary: str | None = None
    weight: float = 0.0
    salt: str = ""


@dataclass(frozen=True)
class Happening:
    """Something that a person would want to know: an Event, a line, a message to a webhook."""

    reason: str
    """One word in CamelCase, such as StepBegun, RolledBack, Promoted, Paused, Overdue."""
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Conduct:
    """What is to be. `floors`: for each version the least replicas that it needs now, where more than its own minimum.

    `outdated`: why a new canary is refused until the document agrees on who is stable (decision 14); empty otherwise.
    """

    kept: Kept
    roles: Roles
    floors: Mapping[str, int]
    happenings: tuple[Happening, ...] = ()
    outdated: str = ""


def conduct(document: ModelDeployment, kept: Kept | None, sight: Sight) -> Conduct:
    """One look. The caller keeps `kept` before, or in the same write as, it brings about the rest."""
    raise NotImplementedError
