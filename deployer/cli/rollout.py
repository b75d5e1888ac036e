"""`turnout rollout`: what a person asks of a rollout, and why it stands where it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol

import click

from deployer.cli import options
from deployer.cli.client.wait import POLL, named, status, supervised
from deployer.errors import TurnoutError
from deployer.local.state_folder import StateFolder
from deployer.rollout import describe
from deployer.rollout.actions import refusal
from deployer.rollout.state import Order
from deployer.rollout.status import RolloutRecord, RolloutStatus


class Told(Protocol):
    """What the status of either target says of rollouts."""

    @property
    def rollout(self) -> RolloutStatus | None: ...

    @property
    def rollouts(self) -> tuple[RolloutRecord, ...]: ...


class Place(Protocol):
    """Where a deployment is. Both raise TurnoutError, where it can't be reached or there is none of its name."""

    def told(self) -> Told:
        """How its rollouts stand."""
        ...

    def give(self, order: Order) -> Told:
        """Give an order; how they stand once it was taken."""
        ...


@dataclass(frozen=True)
class Local:
    """The deployment `name` on this machine."""

    state: StateFolder
    name: str

    def told(self) -> Told:
        supervised(self.state)
        key = named(self.state, self.name).key
        found = status(self.state, key)
        if found is None:
            raise TurnoutError(f"{key} is not started yet; `turnout status --watch` shows when it is")
        return found

    def give(self, order: Order) -> Told:
        token = self.state.write_order(named(self.state, self.name).key, order)
        while True:
            supervised(self.state)
            found = status(self.state, named(self.state, self.name).key)
            if found is not None and found.order == token:
                return found
            time.sleep(POLL)


def _of_deployment(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command `name`, and `place` by the options that say where it is."""

    @click.argument("name")
    @options.state
    @click.option("--kubernetes", is_flag=True, help="It is on a cluster; else it is on this machine.")
    @click.option("--namespace", help="On a cluster: its namespace.  [default: the kubeconfig's]")
    @click.option("--kubeconfig", type=click.Path(dir_okay=False), help="How to reach it.  [default: as kubectl]")
    @click.option("--context", help="The context of the kubeconfig.  [default: its current one]")
    @wraps(command)
    def placed(
        name: str,
        state: StateFolder,
        kubernetes: bool,
        namespace: str | None,
        kubeconfig: str | None,
        context: str | None,
        **others: Any,
    ) -> None:
        if not kubernetes and (namespace or kubeconfig or context):
            raise click.UsageError("--namespace, --kubeconfig and --context are of a cluster; add --kubernetes")
        place = _on_cluster(name, namespace, kubeconfig, context) if kubernetes else Local(state, name)
        command(name=name, place=place, **others)

    return placed


def _on_cluster(name: str, namespace: str | None, kubeconfig: str | None, context: str | None) -> Place:
    try:
        from deployer.cli.client.cluster import OnCluster
    except ModuleNotFoundError as error:
        raise TurnoutError(f"{error.name} is not installed; pip install 'turnout[kubernetes]'") from None
    return OnCluster(name, namespace, kubeconfig, context)


@click.group()
def rollout() -> None:
    """Steer the rollout of a deployment, and ask why it stands where it does."""


@rollout.command()
@_of_deployment
@options.output
def explain(name: str, place: Place, output: str) -> None:
    """Say why the rollout of NAME stands where it does, with every figure, and how those before it ended."""
    told = place.told()
    now = _present(told, name)
    if output == "json":
        _show(told, now)
    else:
        click.echo("\n".join(describe.explain(now, told.rollouts, time.time())))


@rollout.command()
@_of_deployment
@click.option("--now", is_flag=True, help="Needed: without the steps that are left, and what they would show.")
@options.output
def promote(name: str, place: Place, now: bool, output: str) -> None:
    """Give all traffic of NAME to the canary at once. Then it bakes, as it would have by itself."""
    if not now:
        raise TurnoutError(
            "a rollout promotes by itself, once its canary is shown to be good; "
            f"`turnout rollout promote {name} --now` does it at once, whatever is shown"
        )
    _give(place, name, Order.PROMOTE, output)


def _command(order: Order, help: str) -> None:
    @rollout.command(str(order), help=help)
    @_of_deployment
    @options.output
    def give(name: str, place: Place, output: str) -> None:
        _give(place, name, order, output)


_command(Order.PAUSE, "Keep the canary of NAME at its weight. It is still rolled back if it turns out to be worse.")
_command(Order.RESUME, "Let the rollout of NAME go on, which was paused.")
_command(Order.APPROVE, "Let the rollout of NAME pass the pause after its present step.")
_command(Order.ROLLBACK, "End the rollout of NAME: stable gets all traffic back.")
_command(Order.RETRY, "Begin the rollout of NAME again, which was rolled back.")
_command(Order.UNDO, "Give all traffic of NAME back to the version that was stable before the promotion.")


def _give(place: Place, name: str, order: Order, output: str) -> None:
    if why := refusal(_present(place.told(), name), order):
        raise TurnoutError(why)
    told = place.give(order)
    now = _present(told, name)
    if output == "json":
        _show(told, now)
    else:
        click.echo(describe.line(now))


def _present(told: Told, name: str) -> RolloutStatus:
    if told.rollout is None:
        raise TurnoutError(
            f"{name} has had no rollout: one begins once its document has spec.rollout, and a canary beside stable"
        )
    return told.rollout


def _show(told: Told, now: RolloutStatus) -> None:
    rollouts = [record.model_dump(mode="json", exclude_none=True) for record in told.rollouts]
    options.show_as_json({"rollout": now.model_dump(mode="json", exclude_none=True), "rollouts": rollouts})
