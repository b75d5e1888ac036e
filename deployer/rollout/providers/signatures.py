"""Asks a version's server what inputs and outputs it has."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from pydantic_core import from_json

from deployer.rollout.analysis.signature import Signature
from deployer.rollout.providers import bounded
from deployer.runtimes.registry import RUNTIMES
from gateway.contract import route_table

TRIES = 3
"""Questions, before a server counts as one that doesn't tell."""


@dataclass
class SignatureAnswer:
    """What a server said of its signature, and how often it was asked."""

    signature: Signature | None = None
    tries: int = 0

    @property
    def done(self) -> bool:
        return self.signature is not None or self.tries >= TRIES


def fetch(
    protocol: route_table.ProtocolFamily, host: str, port: int, name: str, timeout: float = 2.0
) -> Signature | None:
    """The signature of the model `name` that the server at `host`:`port` (REST) has, one version of it as all servers
    here; None where it doesn't answer, or doesn't tell. Blocks for about `timeout` seconds at most.

    `protocol` is what the server speaks.
    """
    spoken = RUNTIMES[protocol].protocol
    if ":" in host:  # of IPv6
        host = f"[{host}]"
    try:
        with bounded.client(timeout, base_url=f"http://{host}:{port}") as client:
            answer = client.get(spoken.signature_path(name))
        signature = spoken.signature(from_json(answer.content)) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, TypeError, LookupError, AttributeError):  # the last four: it is no such answer
        return None
    return signature if signature and (signature.inputs or signature.outputs or signature.others) else None
