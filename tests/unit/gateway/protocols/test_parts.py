"""Each protocol of the route table has all its parts, and a test says which one is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from deployer.runtimes.registry import RUNTIMES
from gateway import call
from gateway.contract.route_table import Deployment
from gateway.discovery import endpoint_probe
from gateway.protocols import base, health, registry
from gateway.protocols.base import Address
from gateway.refusal import Refusal
from protos import methods
from protos.methods import Method

ROOT = Path(__file__).parents[4]
PROTOCOLS: tuple[str, ...] = get_args(Deployment.model_fields["runtime"].annotation)
METHODS = [value for value in vars(methods).values() if isinstance(value, Method)]
TABLES = {name: table for name, table in vars(call).items() if isinstance(table, dict)}
"""Those of the call, by their names."""


def missing(name: str) -> Iterator[str]:
    """The parts that the protocol lacks, each with where it belongs."""
    if name not in PROTOCOLS:
        yield f"{name}: a value of a Deployment's runtime in gateway/contract/route_table.py"
    for wire in ("rest", "grpc"):
        own = f"{name}-{wire}"
        for file in (f"gateway/protocols/{name}_{wire}.py", f"tests/unit/gateway/protocols/test_{name}_{wire}.py"):
            if not (ROOT / file).exists():
                yield f"{name}: {file}"
        if own not in registry.NAMES:
            yield f"{name}: {own} in NAMES of gateway/protocols/registry.py"
        if not any(getattr(value, "name", "") == own for value in vars(registry).values()):
            yield f"{name}: an object called {own} in gateway/protocols/registry.py"
        if not any(table.get(own) == name for table in TABLES.values()):
            yield f"{name}: {own} in the table of gateway/call.py that has the route table's name of each"
    yield from _over_grpc(name)
    yield from _over_rest(name)
    title = _title(name)
    if not title:
        yield f"{name}: what people call it, in the table of gateway/call.py that has that of each"
    if f'case "{name}":' not in Path(endpoint_probe.__file__).read_text():
        yield f"{name}: a case in gateway/discovery/endpoint_probe.py, with a path that a server of the model answers"
    if not title or not re.search(rf"^\| {title} \| `/", (ROOT / "README.md").read_text(), re.MULTILINE):
        yield f"{name}: its row in README.md's table of the APIs that the gateway speaks"
    page = " ".join((ROOT / "docs" / "architecture.md").read_text().split())
    if f"`{name}`" not in page.partition("The protocols that servers speak")[2].partition("## ")[0]:
        yield f"{name}: its name in docs/architecture.md, in what is said of protocols at the end of `A runtime`"


def _over_grpc(name: str) -> Iterator[str]:
    own = [method.path.encode() for method in METHODS if registry.grpc(method.path.encode()).name == f"{name}-grpc"]
    if not own:
        yield f"{name}: methods in protos/methods.py that grpc() of gateway/protocols/registry.py knows by their paths"
    for service in {path.split(b"/")[1] for path in own}:
        try:
            health.answer(b"/grpc.health.v1.Health/Check", b"\x0a" + bytes([len(service)]) + service, True)
        except Refusal:
            yield f"{name}: {service.decode()} in gateway/protocols/health.py"
        with pytest.raises(Refusal) as refused:
            registry.grpc(b"/nothing").address(b"/nothing", {}, None)
        if service.decode() not in refused.value.message:
            yield f"{name}: {service.decode()} among those that UnknownGrpc of gateway/protocols/unknown.py names"
    for path in own:
        try:
            address = registry.grpc(path).address(path, {}, b"")
        except Refusal:
            continue
        yield from _named(name, address)


def _over_rest(name: str) -> Iterator[str]:
    spoken = [runtime.protocol for runtime in RUNTIMES.values() if runtime.protocol.name == name]
    if not spoken:
        yield f"{name}: a runtime in deployer/runtimes/ whose protocol.py speaks it"
    for protocol in spoken:
        target = protocol.path("vision", "digits").encode()
        if registry.rest(target).name != f"{name}-rest":
            yield f"{name}: {target.decode()} in rest() of gateway/protocols/registry.py"
    title = _title(name)
    with pytest.raises(Refusal) as refused:
        registry.rest(b"/nowhere").address(b"GET", b"/nowhere")
    if not title or title not in refused.value.message:
        yield f"{name}: where its paths begin, in what UnknownRest of gateway/protocols/unknown.py says"


def _named(name: str, address: Address) -> Iterator[str]:
    """Of a request that leaves open which deployment it is for: that somebody is told how to name it."""
    try:
        base.with_headers(address, None, None)
    except Refusal:
        return
    except KeyError:
        yield f"{name}: how a request names its deployment, in gateway/protocols/base.py"


def _title(name: str) -> str:
    titles = [table[name] for table in TABLES.values() if name in table]
    return str(titles[0]).removeprefix("the ") if titles else ""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_has_all_its_parts(name: str) -> None:
    lost = list(missing(name))
    assert not lost, "\n".join(lost)


def test_what_is_missing_is_named() -> None:
    assert list(missing("bare")) == [
        "bare: a value of a Deployment's runtime in gateway/contract/route_table.py",
        "bare: gateway/protocols/bare_rest.py",
        "bare: tests/unit/gateway/protocols/test_bare_rest.py",
        "bare: bare-rest in NAMES of gateway/protocols/registry.py",
        "bare: an object called bare-rest in gateway/protocols/registry.py",
        "bare: bare-rest in the table of gateway/call.py that has the route table's name of each",
        "bare: gateway/protocols/bare_grpc.py",
        "bare: tests/unit/gateway/protocols/test_bare_grpc.py",
        "bare: bare-grpc in NAMES of gateway/protocols/registry.py",
        "bare: an object called bare-grpc in gateway/protocols/registry.py",
        "bare: bare-grpc in the table of gateway/call.py that has the route table's name of each",
        "bare: methods in protos/methods.py that grpc() of gateway/protocols/registry.py knows by their paths",
        "bare: a runtime in deployer/runtimes/ whose protocol.py speaks it",
        "bare: where its paths begin, in what UnknownRest of gateway/protocols/unknown.py says",
        "bare: what people call it, in the table of gateway/call.py that has that of each",
        "bare: a case in gateway/discovery/endpoint_probe.py, with a path that a server of the model answers",
        "bare: its row in README.md's table of the APIs that the gateway speaks",
        "bare: its name in docs/architecture.md, in what is said of protocols at the end of `A runtime`",
    ]
