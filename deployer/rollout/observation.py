"""What a target sees of one deployment at one look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.rollout.analysis.reading import Reading
from deployer.rollout.analysis.signature import Signature
from deployer.rollout.state import Action
from gateway.contract import route_table


@dataclass(frozen=True)
class Observation:
    """`now`: seconds since 1970, since it goes on over restarts. `route`: as gateways were last given it; `settled`:
    every gateway that serves has it in force. `ready`: for each version the replicas that answer and are warmed,
    `desired`: those that there should be. `readings`: what the sources of evidence say; `unread`: the sources that
    should have said something and did not. `metrics`: the user's own, by name; a text says why one can't be read, and
    one that is missing was not asked for yet, or not answered. `signatures`: by version, where known, and the versions
    that were `asked` for it, whether they have told it or not. `failures`: for each version how often its replicas have
    failed since they were declared, and why the last one did. `action`: what a person asked for last, and a token that
    tells it from the one before.
    """

    now: float
    route: route_table.Deployment | None
    settled: bool
    ready: Mapping[str, int]
    desired: Mapping[str, int]
    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    failures: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    action: tuple[str, Action] | None = None
