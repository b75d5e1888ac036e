"""Asks the gateway for its state, on its admin port."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from gateway.contract.state import State

TIMEOUT = 2.0
"""Seconds. The admin port is on this machine, and in a process that carries no data."""

Version = tuple[str, str]
"""A deployment's key, `namespace/name`, and a version's name."""


class GatewayClient:
    """Of the gateway with the admin port `admin` (`host:port`). Closes its connection with `close`."""

    def __init__(self, admin: str) -> None:
        self._client = httpx.Client(base_url=f"http://{admin}", timeout=TIMEOUT, trust_env=False)

    def read(self) -> State:
        """What it says; not ready if it doesn't answer, or says what is no state."""
        try:
            answer = self._client.get("/state").raise_for_status()
        except httpx.HTTPError as error:
            return State(ready=False, why=f"its admin port does not answer ({error})")
        try:
            return State.model_validate_json(answer.content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            return State(ready=False, why=f"its admin port says what is no state: {place}: {first['msg']}")

    def close(self) -> None:
        self._client.close()
