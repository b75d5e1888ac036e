"""The operator's health, as probes ask for it."""

from __future__ import annotations

import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry

from deployer.kubernetes import health
from tests.fakes.needs import lacking


@pytest.mark.parametrize(
    ("host", "able", "asked"),
    [("::", True, "[::1]"), ("::", True, "127.0.0.1"), ("::", False, "127.0.0.1"), ("127.0.0.1", True, "127.0.0.1")],
)
def test_it_answers_over_both_families(host: str, able: bool, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if able and not socket.has_dualstack_ipv6():
        lacking("this machine has no IPv6")
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: able)
    port = health.serve(host, 0, lambda: (True, "alive"), lambda: (False, "no lease"), CollectorRegistry())
    with httpx.Client(base_url=f"http://{asked}:{port}", trust_env=False) as client:
        assert (client.get("/livez").status_code, client.get("/livez").text) == (200, "alive\n")
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (503, "no lease\n")
