"""Asks the gateway for its state, on its admin port."""

from __future__ import annotations

import time

import httpx
from pydantic import ValidationError

from gateway.contract.mistakes import first_mistake
from gateway.contract.state import State

TIMEOUT = 2.0
"""Seconds. The admin port is on this machine, and in a process that carries no data."""

WAIT, AGAIN = 0.5, 0.01
"""Seconds that it is given to bring a route table into force, and between questions meanwhile."""

Version = tuple[str, str]
"""A deployment's key, `namespace/name`, and a version's name."""


class GatewayClient:
    """Of the gateway with the admin port `admin` (`host:port`). Closes its connection with `close`."""

    def __init__(self, admin: str) -> None:
        self._client = httpx.Client(base_url=f"http://{admin}", timeout=TIMEOUT, trust_env=False)

    def read(self, revision: int) -> State:
        """What it says once the revision is in force on all its workers, or after `WAIT`; not ready if it doesn't
        answer, or says what is no state."""
        end = time.monotonic() + WAIT
        while (state := self._read()).ready and (state.revision or 0) < revision and time.monotonic() < end:
            time.sleep(AGAIN)
        return state

    def _read(self) -> State:
        try:
            answer = self._client.get("/state").raise_for_status()
        except httpx.HTTPError as error:
            return State(ready=False, why=f"its admin port does not answer ({error})")
        try:
            return State.model_validate_json(answer.content)
        except ValidationError as error:
            return State(ready=False, why=f"its admin port says what is no state: {first_mistake(error)}")

    def close(self) -> None:
        self._client.close()
