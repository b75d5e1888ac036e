"""What a ModelDeployment says of who gets the canary, and of how it takes the traffic over. Pure.

The rules that span fields are in `rollout_rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deployer.document.fields import Duration, Label, Part, StepWeight, Url
from gateway.contract.route_table import CookieName, FieldName, FieldValue

STEPS = (5.0, 25.0, 50.0)
INTERVAL, DEADLINE = "60s", "1h"
OBJECTIVES = ("errors", "rejections", "slow")
"""What is counted for each rollout that asks for it; metrics have other names."""

Query = Annotated[str, Field(min_length=1, max_length=4096)]


class Sticky(Part):
    """Where a request's key stands: requests with the same key get the same version. One of the two."""

    header: FieldName | None = None
    """A header, in lower case; for gRPC, metadata of that name."""
    cookie: CookieName | None = None
    """A cookie."""


class Match(Part):
    """Requests that get a version by their headers."""

    header: Annotated[dict[FieldName, FieldValue], Field(min_length=1, max_length=8)]
    """Headers, in lower case, with their values: a request has all of them. For gRPC, metadata."""
    version: Label
    """What such a request gets."""


class Pause(Part):
    """A stop on the way."""

    at: StepWeight
    """The step after which it stops."""
    duration: Duration | None = Field(default=None, alias="for")
    """How long. Left out: until someone approves."""


class Objective(Part):
    """What must not get worse."""

    margin: Annotated[float, Field(strict=True, ge=1.1, le=100)] = 2.0
    """The canary advances once it is shown to have less than so many times stable's share of them."""
    max: Annotated[float, Field(strict=True, ge=0.0001, le=0.99)] | None = None
    """The most that the canary may have, as a part of its requests (0.05 is 5 %), whatever stable has."""
    negligible: Annotated[float, Field(strict=True, ge=0, le=0.5)] = 0.001
    """So small a part of its requests is no matter, whatever stable has. The smaller it is, the longer a step lasts in
    which hardly anything fails; with 0, a step in which nothing fails never ends."""


class SlowObjective(Objective):
    """Answers that come late."""

    over: Duration
    """An answer that takes longer is slow."""


class Metric(Part):
    """A measure of your own, from Prometheus or a webhook: one of the two. It is good from `min` to `max`."""

    name: Label
    """What it is called where reasons are told."""
    query: Query | None = None
    """PromQL whose result is one number. {namespace}, {deployment}, {stable} and {canary} are replaced."""
    webhook: Url | None = None
    """It gets a POST of namespace, deployment, stable, canary and weight as JSON, and answers {"value": number}."""
    min: Annotated[float, Field(strict=True)] | None = None
    """The least value that is good. Left out: any."""
    max: Annotated[float, Field(strict=True)] | None = None
    """The greatest value that is good. Left out: any."""


class Objectives(Part):
    """What the canary is held to."""

    errors: Objective = Objective()
    """Requests whose first attempt failed."""
    rejections: Objective = Objective()
    """Requests that the version refused as wrong: 4xx, or gRPC's INVALID_ARGUMENT. A changed signature shows here."""
    slow: SlowObjective | None = None
    """Answers that come late. Left out: that is no matter."""
    metrics: Annotated[tuple[Metric, ...], Field(max_length=8)] = ()
    """Measures of your own."""


class Queries(Part):
    """PromQL of counters by the labels version and epoch. Left out: the gateways' own series."""

    requests: Query | None = None
    """The requests that the split assigned."""
    bad: Query | None = None
    """Those of them that were bad, by the label signal too: errors, slow, rejections."""


class Rollout(Part):
    """How a canary takes the traffic over by itself, as long as the evidence allows it."""

    steps: Annotated[tuple[StepWeight, ...], Field(min_length=1, max_length=32)] = STEPS
    """The canary's weights in percent, rising. After the last it is promoted to 100. Left out: 5, 25, 50."""
    interval: Duration = INTERVAL
    """The least time of a step. It lasts until the evidence is there."""
    deadline: Duration = DEADLINE
    """The time after which a step that still lacks evidence is overdue: that is told, and it goes on. A canary that
    isn't ready by then is given up."""
    bake: Duration = "10m"
    """The time after the promotion in which the version before stays ready to take the traffic back."""
    pauses: Annotated[tuple[Pause, ...], Field(max_length=32)] = ()
    """Stops on the way."""
    objectives: Objectives = Objectives()
    """What the canary is held to. Left out: errors and rejections, each with a margin of 2."""
    evidence: Literal["gateways", "prometheus"] = "gateways"
    """Who is asked for the counts. Prometheus can't tell sticky keys apart."""
    queries: Queries = Queries()
    """What Prometheus is asked for the counts."""
    allow_signature_change: Annotated[bool, Field(strict=True)] = False
    """Whether the canary may have other inputs and outputs than stable."""
    notify: Url | None = None
    """It gets a CloudEvent by POST for each thing that happens to the rollout."""
