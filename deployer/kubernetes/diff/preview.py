"""What an apply of a document would change on a cluster, asked of the API server without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.kubernetes.api.client import ApiError, Client, Unreachable
from deployer.kubernetes.manifests import Options, Owner, manifests
from deployer.kubernetes.objects import names
from deployer.kubernetes.objects.kinds import (
    BY_KIND,
    MADE,
    MODEL_DEPLOYMENT,
    SCALED_OBJECT,
    SELDON_DEPLOYMENT,
    Id,
    Kind,
    Object,
    identity,
    is_owned,
)
from deployer.kubernetes.reconcile import compare
from deployer.kubernetes.reconcile.observed import foreign_message


@dataclass(frozen=True)
class ObjectDiff:
    """An object as it is and as it would be; None where it isn't, or would no longer be. They may be equal."""

    before: Object | None
    after: Object | None


def options(client: Client, prometheus: str | None) -> Options:
    """What the cluster has.

    Raises:
        TurnoutError: the API server can't be asked.
    """
    installed = {
        kind.kind: _all(client, kind, "default", "") is not None for kind in (SELDON_DEPLOYMENT, SCALED_OBJECT)
    }
    return Options(installed[SELDON_DEPLOYMENT.kind], installed[SCALED_OBJECT.kind], prometheus)


def changes(client: Client, document: ModelDeployment, options: Options) -> Iterator[ObjectDiff]:
    """Each object of `document`, and those that an apply would delete in time.

    Raises:
        TurnoutError: the API server can't be asked, or would refuse an object, or one is there that isn't ours.
    """
    namespace, name = document.metadata.namespace, document.metadata.name
    resource = _get(client, MODEL_DEPLOYMENT, namespace, name)
    owner = Owner(name, resource["metadata"]["uid"]) if resource else None
    there: dict[Id, Object] = {}
    for kind in MADE:
        for item in _all(client, kind, namespace, f"{names.DEPLOYMENT_LABEL}={name}") or ():
            # Items of a list don't say what they are.
            there[Id(kind.kind, item["metadata"]["name"])] = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
    for made in manifests(document, options, owner):
        before = there.pop(identity(made), None) or _get(
            client, BY_KIND[made["kind"]], namespace, made["metadata"]["name"]
        )
        if before is not None and (owner is None or not is_owned(before, owner.uid)):
            raise TurnoutError(foreign_message(identity(made)))
        desired = compare.stamped(made)
        if before is not None and made["kind"] == "Deployment" and compare.is_scaled(before):
            desired = compare.without_replicas(desired)
        yield ObjectDiff(before, _applied(client, desired))
    for left in there.values():
        if owner is not None and is_owned(left, owner.uid):
            yield ObjectDiff(left, None)


def _get(client: Client, kind: Kind, namespace: str, name: str) -> Object | None:
    try:
        return client.get(kind, namespace, name)
    except (ApiError, Unreachable) as error:
        raise TurnoutError(f"{kind.kind} {namespace}/{name} can't be read: {error}") from None


def _applied(client: Client, desired: Object) -> Object:
    try:
        return client.apply(BY_KIND[desired["kind"]], desired, force=True, dry_run=True)
    except (ApiError, Unreachable) as error:
        metadata = desired["metadata"]
        raise TurnoutError(f"{desired['kind']} {metadata['namespace']}/{metadata['name']}: {error}") from None


def _all(client: Client, kind: Kind, namespace: str, selector: str) -> list[Object] | None:
    """The objects of that kind; None where the cluster has no such kind."""
    try:
        return client.list_all(kind, namespace, selector)[0]
    except ApiError as error:
        if error.status == 404 and kind.extension:
            return None
        raise TurnoutError(f"the {kind.plural} in {namespace} can't be read: {error}") from None
    except Unreachable as error:
        raise TurnoutError(str(error)) from None
