"""Asking a container how it is, and telling it something at its start and end: by HTTP, TCP, gRPC or a command."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

import grpc
import httpx

from tests.cluster.rig.agent.api import Object
from tests.cluster.rig.agent.sandbox import Process

_SERVING = b"\x08\x01"
"""`grpc.health.v1.HealthCheckResponse` with status SERVING."""
_anybody = ssl.create_default_context()
_anybody.check_hostname = False
_anybody.verify_mode = ssl.CERT_NONE


async def follow(
    probe: Object, container: Object, address: str, process: Process, tell: Callable[[str | None], None]
) -> None:
    """Probe until cancelled. `tell` None after each success, and why after each failure too many in a row."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    failures, successes = 0, 0
    while True:
        try:
            async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
                await act(probe, container, address, process)
        except (ActionFailed, TimeoutError) as error:
            failures, successes = failures + 1, 0
            if failures >= probe.get("failureThreshold", 3):
                tell(str(error) or "no answer in time")
        else:
            failures, successes = 0, successes + 1
            if successes >= probe.get("successThreshold", 1):
                tell(None)
        await asyncio.sleep(probe.get("periodSeconds", 10))


class ActionFailed(Exception):
    """The answer or exit code was not one of success."""


async def act(action: Object, container: Object, address: str, process: Process) -> None:
    """Do what a probe or lifecycle hook says.

    Raises:
        ActionFailed: it was not a success.
    """
    match action:
        case {"exec": {"command": command}}:
            code, output = await process.run(command)
            if code:
                raise ActionFailed(f"{command[0]}: exit code {code}: {output[-300:]}")
        case {"httpGet": wanted}:
            await _http(wanted, f"{wanted.get('host') or address}:{port(wanted['port'], container)}")
        case {"tcpSocket": wanted}:
            try:
                _, writer = await asyncio.open_connection(
                    wanted.get("host") or address, port(wanted["port"], container)
                )
            except OSError as error:
                raise ActionFailed(str(error)) from None
            writer.close()
        case {"grpc": wanted}:
            await _grpc(f"{address}:{wanted['port']}", wanted.get("service") or "")
        case {"sleep": {"seconds": seconds}}:
            await asyncio.sleep(seconds)
        case _:
            raise ActionFailed(f"the rig knows no such action: {', '.join(action)}")


def port(wanted: int | str, container: Object) -> int:
    """Ports may be named."""
    for declared in container.get("ports", []):
        if declared.get("name") == wanted:
            return int(declared["containerPort"])
    with contextlib.suppress(ValueError):
        return int(wanted)
    raise ActionFailed(f"the container declares no port {wanted!r}")


async def _http(wanted: Object, address: str) -> None:
    headers = {header["name"]: header["value"] for header in wanted.get("httpHeaders", [])}
    url = f"{wanted.get('scheme', 'HTTP').lower()}://{address}{wanted.get('path', '/')}"
    try:
        async with httpx.AsyncClient(verify=_anybody, trust_env=False, timeout=None) as client:
            answer = await client.get(url, headers={"user-agent": "kube-probe/1.36", **headers})
    except (httpx.HTTPError, OSError) as error:
        raise ActionFailed(f"GET {url}: {error!r}") from None
    if not 200 <= answer.status_code < 400:
        raise ActionFailed(f"GET {url}: {answer.status_code} {answer.text[:200]}")


async def _grpc(address: str, service: str) -> None:
    request = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = await check(request)
        except grpc.aio.AioRpcError as error:
            raise ActionFailed(f"gRPC health of {address}: {error.code().name}: {error.details()}") from None
    if answer != _SERVING:
        raise ActionFailed(f"gRPC health of {address}: not serving")
