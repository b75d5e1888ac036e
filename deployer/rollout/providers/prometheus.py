"""Asks Prometheus: for what gateways have counted for a rollout, and for numbers of the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import httpx
from pydantic import BaseModel, ValidationError

from deployer.document.model import ModelDeployment
from deployer.rollout.analysis.reading import Count, Reading
from deployer.rollout.providers import bounded
from gateway.contract.evidence import SIGNALS

TIMEOUT = 2.0
"""Seconds for an answer."""
REQUESTS = 'turnout_evidence_requests_total{namespace="{namespace}",deployment="{deployment}"}'
BAD = 'turnout_evidence_bad_total{namespace="{namespace}",deployment="{deployment}"}'
"""The gateways' own series, by version, epoch, keyed, source and (of bad ones) signal."""
_SOURCES = ("source", "instance")
"""Labels that tell counters of the same thing apart; the first is another after each start of a gateway."""


class Unread(Exception):
    """Prometheus did not say; the text says why."""


class Sample(NamedTuple):
    labels: Mapping[str, str]
    value: float


class _Series(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]


class _Data(BaseModel):
    resultType: Literal["vector", "scalar", "matrix", "string"]
    result: list[Any]


class _Answer(BaseModel):
    status: Literal["success", "error"]
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


class Prometheus:
    """The one at `url`. Closes its connections with `close`."""

    def __init__(self, url: str) -> None:
        self._client = bounded.client(TIMEOUT, base_url=url.rstrip("/"))

    def close(self) -> None:
        self._client.close()

    def counts(self, document: ModelDeployment, stable: str, canary: str) -> tuple[Reading, ...]:
        """What the gateways of the deployment have counted, by Prometheus' last scrapes.

        Raises:
            Unread: it did not say, or not what can be evidence.
        """
        if document.spec.traffic.sticky is not None:
            raise Unread("Prometheus can't tell sticky keys apart, so its counts are no evidence of them")
        queries = document.spec.rollout.queries if document.spec.rollout is not None else None
        requests = filled((queries and queries.requests) or REQUESTS, document, stable, canary)
        bad = filled((queries and queries.bad) or BAD, document, stable, canary)
        moment, assigned = self._vector(requests, None)
        if not assigned:
            raise Unread(f"Prometheus has nothing for {requests}")
        _, failed = self._vector(bad, moment)
        return tuple(_readings(assigned, failed))

    def number(self, query: str) -> float:
        """The one number that `query` results in.

        Raises:
            Unread: it did not say, or there is no number, or more than one.
        """
        data = self._ask(query, None)
        if data.resultType == "scalar":
            values = data.result[1:2]
        else:
            values = [sample.value for sample in _samples(query, data)[1]]
        if not values:
            raise Unread(f"Prometheus has no series for {query}, or none with a sample of the last minutes")
        if len(values) > 1:
            raise Unread(f"Prometheus has {len(values)} values for {query}, and one is needed")
        try:
            value = float(values[0])
        except (ValueError, TypeError):
            raise Unread(f"Prometheus has something else than a number for {query}") from None
        if not math.isfinite(value):
            raise Unread(f"Prometheus has {value} for {query}")
        return value

    def _vector(self, query: str, moment: float | None) -> tuple[float, list[Sample]]:
        return _samples(query, self._ask(query, moment))

    def _ask(self, query: str, moment: float | None) -> _Data:
        """The answer as of `moment`, seconds by Prometheus' clock; None: as of now."""
        form = {"query": query, "timeout": f"{TIMEOUT:g}s"} | ({} if moment is None else {"time": str(moment)})
        try:
            response = self._client.post("/api/v1/query", data=form)
            answer = _Answer.model_validate_json(response.content)
        except (httpx.InvalidURL, UnicodeError):  # the latter by a host such as a..b
            raise Unread("Prometheus has no valid address") from None
        except httpx.TimeoutException:
            raise Unread(f"Prometheus does not answer within {TIMEOUT:g} s") from None
        except httpx.HTTPError as error:
            raise Unread(f"Prometheus does not answer ({error or type(error).__name__})") from None
        except ValidationError:  # a proxy before it, maybe: Prometheus tells of its own errors in JSON
            if response.is_success:
                raise Unread("what answers for Prometheus is something else") from None
            raise Unread(f"what answers for Prometheus says {status_line(response)}") from None
        if answer.data is None or answer.status == "error":
            raise Unread(f"Prometheus refuses {query}: {answer.error}")
        if answer.warnings:  # such as of a part of it that is down
            raise Unread(f"Prometheus has no whole answer for {query}: {answer.warnings[0]}")
        return answer.data


def status_line(response: httpx.Response) -> str:
    """The answer's status in words, with the host that a redirect names: an address whole may hold a token."""
    line = f"{response.status_code} {response.reason_phrase}".strip()
    if (target := response.next_request) is not None:
        return f"{line} (a redirect to {target.url.host}, which is not followed)"
    return line


def filled(query: str, document: ModelDeployment, stable: str, canary: str) -> str:
    """The query for this deployment. PromQL has braces of its own, so nothing else in braces is touched."""
    names = {
        "namespace": document.metadata.namespace,
        "deployment": document.metadata.name,
        "stable": stable,
        "canary": canary,
    }
    for name, value in names.items():
        query = query.replace("{" + name + "}", value)
    return query


def _samples(query: str, data: _Data) -> tuple[float, list[Sample]]:
    """The moment of the answer, and its samples."""
    if data.resultType != "vector":
        raise Unread(f"Prometheus has a {data.resultType} for {query}, and a vector is needed")
    try:
        found = [_Series.model_validate(one) for one in data.result]
    except ValidationError:
        raise Unread(f"Prometheus has something else than numbers for {query}") from None
    return (found[0].value[0] if found else 0.0), [Sample(one.metric, one.value[1]) for one in found]


def _count(arm: tuple[str, int], requests: int, errors: int, slow: int, rejections: int) -> Count:
    return Count(*arm, False, requests, errors, slow, rejections)


def _readings(assigned: Sequence[Sample], failed: Sequence[Sample]) -> Iterator[Reading]:
    requests: dict[str, dict[tuple[str, int], int]] = {}
    for sample in assigned:
        arm = _arm(sample)
        of_source = requests.setdefault(_source(sample), {})
        of_source[arm] = of_source.get(arm, 0) + _whole(sample)
    bad: dict[tuple[str, tuple[str, int], str], int] = {}
    for sample in failed:
        signal = sample.labels.get("signal", "")
        if signal not in SIGNALS:
            raise Unread(f"a series of bad requests has the signal {signal!r}; there are {', '.join(SIGNALS)}")
        key = _source(sample), _arm(sample), signal
        bad[key] = bad.get(key, 0) + _whole(sample)
    for source, by_arm in requests.items():
        counts = tuple(
            _count(arm, number, *[bad.get((source, arm, signal), 0) for signal in SIGNALS])
            for arm, number in by_arm.items()
        )
        yield Reading(source, max(count.epoch for count in counts), counts)


def _source(sample: Sample) -> str:
    return " ".join(sample.labels[name] for name in _SOURCES if name in sample.labels) or "Prometheus"


def _arm(sample: Sample) -> tuple[str, int]:
    version, epoch = sample.labels.get("version", ""), sample.labels.get("epoch", "")
    if not version or not (epoch.isascii() and epoch.isdigit()):
        raise Unread(f"a series has version {version!r} and epoch {epoch!r}; both labels are needed")
    if sample.labels.get("keyed") == "true":
        raise Unread("a series is of requests with sticky keys, and Prometheus can't tell keys apart")
    return version, int(epoch)


def _whole(sample: Sample) -> int:
    if not (math.isfinite(sample.value) and sample.value >= 0 and sample.value.is_integer()):
        raise Unread(f"a series is {sample.value:g}, and counters are whole numbers: a query may sum them, no more")
    return int(sample.value)
