"""The difference between two route tables, so that a worker need not read 10,000 versions anew where one has changed.
Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from gateway.contract import route_table
from gateway.contract.route_table import Deployment, RouteTable


class TableDelta(BaseModel):
    """From the table that was sent before to the one of `revision`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: int
    deployments: tuple[Deployment, ...] = ()
    """Those that are new or differ, whole."""
    keys: tuple[tuple[str, str], ...] | None = None
    """Namespace and name of all, in order, where that is not as it was."""


def difference(old: RouteTable, new: RouteTable) -> TableDelta:
    before = old.by_key
    changed = tuple(
        deployment
        for deployment in new.deployments
        if (known := before.get((deployment.namespace, deployment.name))) is not deployment and known != deployment
    )
    keys = tuple(new.by_key)
    return TableDelta(revision=new.revision, deployments=changed, keys=None if keys == tuple(before) else keys)


def apply(old: RouteTable, change: TableDelta) -> RouteTable:
    """The new table. What has not changed is the same object as before.

    Raises:
        KeyError: `change` is not from `old`.
    """
    changed = {(deployment.namespace, deployment.name): deployment for deployment in change.deployments}
    before = old.by_key
    keys = tuple(before) if change.keys is None else change.keys
    deployments = tuple(changed.get(key) or before[key] for key in keys)
    return route_table.of(change.revision, deployments)


def departed(old: Iterable[Deployment], new: RouteTable) -> list[Deployment]:
    """Those of `old` that are not the very same objects in `new`."""
    unchanged = set(map(id, new.deployments))
    return [deployment for deployment in old if id(deployment) not in unchanged]
