"""What is heard of a gateway over time: rates, and whether anything changes at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.local.gateway_process import RATE_WINDOW, Gateway, Options
from deployer.local.state_folder import StateFolder
from gateway.contract.state import State as GatewayState
from gateway.contract.state import VersionState
from tests.fakes.turnout import until

VERSION = ("vision/digits", "v1")


class FakeClient:
    """In place of the client: one answer for each look."""

    requests, ready = 0, True

    def read(self, revision: int) -> GatewayState:
        versions = (VersionState(deployment=VERSION[0], version=VERSION[1], requests=self.requests, failures=1),)
        return GatewayState(ready=self.ready, why="", revision=1, versions=versions if self.requests else ())

    def close(self) -> None:
        pass


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def gateway(tmp_path: Path, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr("deployer.local.gateway_process.GatewayClient", lambda admin: client)
    return Gateway(StateFolder(tmp_path), Options())


def hear(gateway: Gateway, now: float) -> None:
    """A look that is answered at the time `now`."""
    gateway.look(now, urgent=True)
    until(lambda: gateway.look(now, urgent=True), "the gateway is heard")


def test_it_is_idle_once_rates_are_told_and_have_stayed_zero(gateway: Gateway, client: FakeClient) -> None:
    hear(gateway, 0.0)
    assert (gateway.idle, gateway.rates(VERSION)) == (False, None)
    hear(gateway, 2.0)
    assert (gateway.idle, gateway.rates(VERSION)) == (False, (0.0, 0.0))
    hear(gateway, 4.0)
    assert gateway.idle
    client.requests = 10
    hear(gateway, 6.0)
    assert (gateway.idle, gateway.rates(VERSION)) == (False, (10 / 6, 1 / 6))
    hear(gateway, 6.0 + RATE_WINDOW)
    assert (gateway.idle, gateway.rates(VERSION)) == (False, (0.0, 0.0))  # this is still news
    hear(gateway, 8.0 + RATE_WINDOW)
    assert gateway.idle


def test_one_that_is_not_ready_is_not_idle(gateway: Gateway, client: FakeClient) -> None:
    for now in (0.0, 2.0, 4.0):
        hear(gateway, now)
    client.ready = False
    hear(gateway, 6.0)
    assert (gateway.idle, gateway.in_flight_seconds(VERSION)) == (False, None)
