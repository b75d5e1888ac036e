"""`turnout render` and `turnout diff`: what a document becomes on Kubernetes."""

from __future__ import annotations

import sys
from typing import Any

import click

from deployer.cli import options
from deployer.document.loader import read
from deployer.errors import TurnoutError

PROMETHEUS = "Address of the Prometheus that has the gateways' metrics, as KEDA reaches it."


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--seldon", is_flag=True, help="The cluster has Seldon's custom resource.")
@click.option("--keda", is_flag=True, help="The cluster has KEDA.")
@click.option("--prometheus", metavar="URL", help=PROMETHEUS)
@options.output
def render(files: tuple[str, ...], seldon: bool, keda: bool, prometheus: str | None, output: str) -> None:
    """Print the Kubernetes objects that the documents in FILE... become; - is standard input.

    No cluster is asked: what it has beside Kubernetes itself is said by options.
    """
    from deployer.kubernetes.manifests import Options, autoscaler_missing, manifests
    from deployer.kubernetes.objects.printed import as_yaml

    has = Options(seldon_crd=seldon, keda=keda, prometheus=prometheus)
    objects: list[dict[str, Any]] = []
    for document in read(files, models=False):
        try:
            objects += manifests(document, has)
        except TurnoutError as error:
            raise TurnoutError(f"{document.key}: {error}") from None
        for version in document.spec.versions:
            if missing := autoscaler_missing(document, version, has):
                options.note(f"{document.key}: {missing}")
    if output == "json":
        options.show_as_json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        click.echo(as_yaml(objects), nl=False)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="How to reach the cluster.  [default: as kubectl]")
@click.option("--context", help="The context of the kubeconfig.  [default: its current one]")
@click.option("--prometheus", metavar="URL", help=PROMETHEUS)
def diff(files: tuple[str, ...], kubeconfig: str | None, context: str | None, prometheus: str | None) -> None:
    """Show what applying the documents in FILE... would change on the cluster; - is standard input.

    The API server is asked, and changes nothing. Exit code 0: nothing would change, 1: something would, 2: it can't be
    told.
    """
    try:
        from deployer.kubernetes.api.client import Client, configuration
        from deployer.kubernetes.diff import preview
        from deployer.kubernetes.objects.printed import difference
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; pip install 'turnout[kubernetes]'")
    changed = False
    try:
        documents = read(files, models=False)
        client = Client(configuration(kubeconfig, context)[0])
        has = preview.options(client, prometheus)
        for document in documents:
            for change in preview.changes(client, document, has):
                text = difference(change.before, change.after)
                click.echo(text, nl=False)
                changed = changed or bool(text)
    except TurnoutError as error:
        _fail(str(error))
    sys.exit(1 if changed else 0)


def _fail(text: str) -> None:
    options.note(text)
    sys.exit(2)
