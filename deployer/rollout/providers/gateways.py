"""Asks gateways what they have counted for rollouts: GET /evidence on their admin ports, all at the same time."""

from __future__ import annotations

import base64
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from deployer.rollout.analysis.reading import Count, Reading
from gateway.contract.evidence import Evidence
from gateway.contract.mistakes import first_mistake

TIMEOUT = 2.0
"""Seconds for an answer, to its end: rollouts are looked at about as often."""
LARGEST = 16 << 20
"""Bytes of an answer: of some hundred deployments with sticky keys."""
AT_ONCE = 16
"""Gateways that are asked at the same time."""


@dataclass(frozen=True)
class Report:
    """What one gateway says of the deployments that it was asked for. `revision`: of the table in force on all its
    workers, None while it has none. `ready`: whether it takes requests."""

    ready: bool
    revision: int | None
    readings: Mapping[str, Reading]


@dataclass(frozen=True)
class Reports:
    """By the gateways' addresses: what each says, and why one could not be `unread`."""

    read: Mapping[str, Report] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def of(self, deployment: str) -> tuple[Reading, ...]:
        """The readings of one deployment, `namespace/name`."""
        return tuple(report.readings[deployment] for report in self.read.values() if deployment in report.readings)

    def in_force(self, deployment: str) -> int | None:
        """The least epoch of it on the gateways that take requests; None where one doesn't say, or there is none."""
        serving = [report for report in self.read.values() if report.ready]
        if self.unread or not serving or not all(deployment in report.readings for report in serving):
            return None
        return min(report.readings[deployment].epoch for report in serving)


class Gateways:
    """Closes its connections with `close`."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._client = httpx.Client(timeout=TIMEOUT, limits=limits, trust_env=False)
        self._threads = ThreadPoolExecutor(AT_ONCE, "evidence")

    def read(self, addresses: Collection[str], deployments: Collection[str]) -> Reports:
        """Ask the gateways at `addresses` (`host:port` of the admin port) for these deployments (`namespace/name`)."""
        if not deployments:
            return Reports()
        asked = list(dict.fromkeys(addresses))
        answers = self._threads.map(lambda address: self._ask(address, deployments), asked)
        by_address = dict(zip(asked, answers, strict=True))
        return Reports(
            {address: answer for address, answer in by_address.items() if isinstance(answer, Report)},
            {address: answer for address, answer in by_address.items() if isinstance(answer, str)},
        )

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    def _ask(self, address: str, deployments: Collection[str]) -> Report | str:
        """What it says, or why that can't be known."""
        by = time.monotonic() + TIMEOUT
        query = {"deployment": list(deployments)}
        try:
            with self._client.stream("GET", f"http://{address}/evidence", params=query) as answer:
                if answer.status_code != httpx.codes.OK:
                    return f"its admin port answers {answer.status_code}"
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > LARGEST:
                        return f"its answer is longer than {LARGEST} bytes"
                    if time.monotonic() > by:
                        return f"its answer is not there within {TIMEOUT:g} s"
        except httpx.TimeoutException:
            return f"it does not answer within {TIMEOUT:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"it does not answer ({error})"
        try:
            return _report(Evidence.model_validate_json(bytes(body)))
        except ValidationError as error:
            return f"it answers what is no evidence: {first_mistake(error)}"


def _report(answer: Evidence) -> Report:
    readings = {
        key: Reading(
            answer.source,
            evidence.epoch,
            tuple(Count(**count.model_dump()) for count in evidence.counts),
            evidence.salt,
            {version: {name: _whole(text) for name, text in of.items()} for version, of in evidence.buckets.items()},
            {
                version: {name: tuple(map(_whole, texts)) for name, texts in of.items()}
                for version, of in evidence.callers.items()
            },
        )
        for key, evidence in answer.deployments.items()
    }
    return Report(answer.ready, answer.revision, readings)


def _whole(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), "little")
