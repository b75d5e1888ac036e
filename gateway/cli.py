"""`turnout-gateway`: runs the gateway in the foreground."""

from __future__ import annotations

import asyncio
import math
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import click
import uvloop

from gateway import descriptors, logs
from gateway.discovery.credentials import ConfigError
from gateway.parent.listeners import PortUnavailable
from gateway.parent.parent import Parent
from gateway.settings import Settings

_DEFAULT = Settings()


Networks = tuple[IPv4Network | IPv6Network, ...]


class _Networks(click.ParamType[Networks]):
    name = "cidr[,cidr…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Networks:
        if not isinstance(value, str):
            return ()
        try:
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class _Seconds(click.FloatRange):
    """Up to 30 years, which timers can be set to; and no "nan", which Click takes as neither too small nor too
    large."""

    def __init__(self, *, min_open: bool = False) -> None:
        super().__init__(0, 10**9, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no number.", param, ctx)
        return seconds


@click.command(context_settings={"auto_envvar_prefix": "TURNOUT_GATEWAY", "show_default": True})
@click.option("--host", default=_DEFAULT.host, help="Address of the data port.")
@click.option("--port", type=click.IntRange(0, 65535), default=_DEFAULT.port, help="REST and gRPC; 0: any free one.")
@click.option("--admin-host", default=_DEFAULT.admin_host, help="Address of the admin port.")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    default=_DEFAULT.admin_port,
    help="Metrics, health, the route table; 0: any free one.",
)
@click.option("--workers", type=click.IntRange(1), default=_DEFAULT.workers, help="Data processes.")
@click.option("--state", type=click.Path(path_type=Path), default=_DEFAULT.state, help="Folder for what is kept.")
@click.option(
    "--discovery",
    type=click.Choice(["file", "kubernetes"]),
    default=_DEFAULT.discovery,
    help="Where route tables come from: a file, or the API server of this pod's cluster or of KUBECONFIG.",
)
@click.option("--namespace", help="Follow this namespace of the cluster only.  [default: all]")
@click.option("--table", type=click.Path(path_type=Path), help="The route table.  [default: routes.json in --state]")
@click.option(
    "--proxies",
    type=_Networks(),
    default=_DEFAULT.proxies,
    show_default="none",
    help="Networks of proxies that may say who calls, with commas between.",
)
@click.option(
    "--timeout",
    type=_Seconds(min_open=True),
    default=_DEFAULT.timeout,
    help="Deadline, in seconds, of requests that name none, to a deployment that has none.",
)
@click.option(
    "--max-timeout",
    type=_Seconds(min_open=True),
    default=_DEFAULT.max_timeout,
    help="Longest deadline that a request or a deployment may name, in seconds.",
)
@click.option(
    "--max-message-bytes",
    type=click.IntRange(1),
    default=_DEFAULT.max_message_bytes,
    help="Largest body or gRPC message.",
)
@click.option(
    "--drain-seconds",
    type=_Seconds(),
    default=_DEFAULT.drain_seconds,
    help="To finish what is in flight after SIGTERM or SIGINT.",
)
def main(**options: object) -> None:
    """Send predictions to the versions that the route table names.

    Each option can be set in the environment too, as TURNOUT_GATEWAY_PORT and so on.
    """
    logs.set_up("parent")
    descriptors.raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Settings(**options)))  # type: ignore[arg-type]


async def _serve(settings: Settings) -> None:
    try:
        parent = Parent(settings)
    except (PortUnavailable, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    await parent.serve()


if __name__ == "__main__":
    main()
