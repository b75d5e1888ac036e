"""What the runtime oip asks of a document, which may be any data still."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.document.values import Path
from deployer.runtimes.oip.rules import broken

PORTS = {"rest": 8080, "grpc": 8081}
OTHER = {"server": "other", "ports": PORTS}
IMAGE = {"name": "v1", "image": "team/digits:1"}


@pytest.mark.parametrize(
    ("oip", "versions", "violations"),
    [
        ({}, [{"model": "m"}], []),
        (OTHER, [IMAGE], []),
        ({"server": "other"}, [IMAGE], [(("spec", "oip", "server"), "of another server the ports can't be known")]),
        ({"ports": {**PORTS, "metrics": 8082}}, [], []),
        (
            {"ports": {**PORTS, "metrics": 8080}},
            [],
            [(("spec", "oip", "ports", "metrics"), "8080 is the port rest already")],
        ),
        ({"ports": {"rest": "http", "grpc": "http"}}, [], []),
        (
            OTHER,
            ["v1", IMAGE, {"name": "v2", "model": "m"}],
            [(("spec", "versions", 2, "image"), "another server than mlserver needs an image")],
        ),
        (
            OTHER,
            [{**IMAGE, "implementation": "own.Model"}],
            [(("spec", "versions", 0, "implementation"), "other has no choice of implementations")],
        ),
    ],
)
def test_rules(oip: dict[str, Any], versions: list[Any], violations: list[tuple[Path, str]]) -> None:
    found = [(violation.path, violation.message) for violation in broken({"oip": oip, "versions": versions})]
    assert found == violations
