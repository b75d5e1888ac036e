"""What others say of a rollout: the gateway's counts, the servers' signatures. Asked aside, so that nobody's silence
holds up a round."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from deployer.local.aside import Aside
from deployer.local.gateway import Gateway
from deployer.local.gateway_client import evidence
from deployer.local.replica import Replica
from deployer.rollout.evidence import Reading
from deployer.rollout.signature import Signature
from deployer.rollout.signatures import fetch
from deployer.runtimes.process import HOST
from deployer.spec import ModelDeployment
from gateway import table

EVERY = 1.0
"""Seconds between two questions for evidence: a bad version is to lose its traffic within seconds."""
STALE = 5.0
"""Seconds after which what a source said is no longer what it says."""
TRIES = 3
"""Questions for a signature, before the server counts as one that doesn't tell."""


@dataclass
class _Counts:
    """Of one deployment: what the gateway last said, when, and when it was last asked."""

    heard: float
    asked: float = -math.inf
    reading: Reading | None = None


@dataclass
class _Told:
    """What a server said of its signature, and how often it was asked."""

    signature: Signature | None = None
    tries: int = 0


class Sources:
    """Of all deployments with a rollout."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._readings: Aside[Reading | None] = Aside()
        self._counts: dict[str, _Counts] = {}
        self._fetches: Aside[tuple[Signature | None]] = Aside()
        self._told: dict[tuple[str, str, str], _Told] = {}

    def counts(self, key: str) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
        """What the gateway says of a deployment, or else its name."""
        now = time.monotonic()
        counts = self._counts.setdefault(key, _Counts(now))
        reading = self._readings.answer(key)
        if reading is not None:
            counts.reading, counts.heard = reading, now
        if now - counts.asked >= EVERY:
            self._readings.ask(key, partial(evidence, self._gateway.admin, key))
            counts.asked = now
        if now - counts.heard > STALE:
            return (), ("the gateway",)
        return (() if counts.reading is None else (counts.reading,)), ()

    def signatures(
        self, document: ModelDeployment, runtime: table.Runtime, ready: Mapping[str, Replica]
    ) -> tuple[dict[str, Signature], set[str]]:
        """Those that are known, by version, and all versions that were asked. `ready`: a replica of each that is."""
        signatures, asked = {}, set()
        for version, replica in ready.items():
            key = (document.key, version, replica.record.digest)
            told = self._told.setdefault(key, _Told())
            if (answer := self._fetches.answer(key)) is not None:
                told.signature, told.tries = answer[0], told.tries + 1
            if told.signature is not None:
                signatures[version] = told.signature
            if told.signature is not None or told.tries >= TRIES:
                asked.add(version)
            else:
                port = replica.record.ports["rest"]
                self._fetches.ask(key, partial(_signature, runtime, port, document.metadata.name))
        return signatures, asked

    def forget(self, key: str) -> None:
        """What the gateway said of a deployment: its rollout is over."""
        self._counts.pop(key, None)
        self._readings.forget(key)


def _signature(runtime: table.Runtime, port: int, name: str) -> tuple[Signature | None]:
    return (fetch(runtime, HOST, port, name),)
