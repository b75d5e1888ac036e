"""`turnout operator`: looks after the ModelDeployments of a cluster."""

from __future__ import annotations

import errno

import click

from deployer.errors import TurnoutError


def _service(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    namespace, _, name = value.partition("/")
    if not namespace or not name or "/" in name:
        raise click.BadParameter(f"{value} is no namespace and name, such as turnout-system/turnout-gateway-metrics")
    return namespace, name


@click.command(context_settings={"auto_envvar_prefix": "TURNOUT_OPERATOR", "show_default": True})
@click.option("--namespace", help="The namespace to look after.  [default: all]")
@click.option("--lease-namespace", help="Where the Lease lies that makes one operator the active one.  [default: ours]")
@click.option(
    "--gateways",
    metavar="NAMESPACE/NAME",
    callback=_service,
    help="The Service with the gateways' admin ports, which are asked for the evidence of rollouts.",
)
@click.option("--prometheus", help="Address of the Prometheus that has the gateways' metrics, as KEDA reaches it.")
@click.option("--host", default="::", help="Address of metrics and health; ::, all addresses.")
@click.option("--port", type=click.IntRange(0, 65535), default=8082, help="Their port; 0: any free one.")
def operator(
    namespace: str | None,
    lease_namespace: str | None,
    gateways: tuple[str, str] | None,
    prometheus: str | None,
    host: str,
    port: int,
) -> None:
    """Make what runs on a Kubernetes cluster follow its ModelDeployments.

    In a pod by its service account, elsewhere by the kubeconfig. Of several operators one is active. Each option can be
    set in the environment too, as TURNOUT_OPERATOR_NAMESPACE and so on.
    """
    try:
        from deployer import logs
        from deployer.kubernetes.objects.kinds import Key
        from deployer.kubernetes.operator import Operator
    except ModuleNotFoundError as error:
        raise TurnoutError(f"{error.name} is not installed; pip install 'turnout[kubernetes]'") from None
    logs.set_up()
    looking = Operator(namespace, lease_namespace, Key(*gateways) if gateways else None, prometheus)
    try:
        looking.run(host, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        raise TurnoutError(
            f"{host}:{port} can't be had: {error.strerror}; choose another by --host and --port"
        ) from None
