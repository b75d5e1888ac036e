"""What the runtime `oip` asks of a document: what has to be said of a server that Turnout doesn't know. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.document.values import Path, Violation, items, mapping
from deployer.kubernetes.crd.cel_rule import Node, Rule, no_version

_OTHER = "self.runtime == 'oip' && has(self.oip) && has(self.oip.server) && self.oip.server == 'other'"


def broken(spec: dict[str, Any]) -> Iterator[Violation]:
    """What is missing beside `oip.server: other`, and ports that are the same."""
    oip = mapping(spec, "oip")
    other = oip.get("server") == "other"
    if other and "ports" not in oip:
        yield Violation(
            ("spec", "oip", "server"), "of another server the ports can't be known", "write ports beside it"
        )
    taken: dict[object, str] = {}
    for name, port in mapping(oip, "ports").items():
        if isinstance(port, int) and port in taken:
            yield Violation(
                ("spec", "oip", "ports", name), f"{port} is the port {taken[port]} already", "write another"
            )
        elif isinstance(port, int):
            taken[port] = name
    for index, version in enumerate(items(spec, "versions")):
        if not other or not isinstance(version, dict):
            continue
        path: Path = ("spec", "versions", index)
        if "model" in version and "image" not in version:
            yield Violation((*path, "image"), "another server than mlserver needs an image", "write image:")
        if version.get("implementation") is not None:
            yield Violation((*path, "implementation"), "other has no choice of implementations", "leave it out")


CEL: dict[Node, tuple[Rule, ...]] = {
    ("spec",): (
        no_version(
            f"{_OTHER} && !has(v.image)",
            "another server than mlserver needs an image; write image: in each version",
        ),
        no_version(
            f"{_OTHER} && has(v.implementation)",
            "another server than mlserver has no choice of implementations; leave it out of the versions",
        ),
    ),
    ("spec", "oip"): (
        Rule(
            "!has(self.server) || self.server != 'other' || has(self.ports)",
            "of another server the ports can't be known; write ports",
            ".ports",
        ),
    ),
    ("spec", "oip", "ports"): (
        Rule(
            "self.rest != self.grpc && (!has(self.metrics) || self.metrics != self.rest && self.metrics != self.grpc)",
            "two of rest, grpc and metrics are the same port; write another",
        ),
    ),
}
