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
from deployer.rollout.state import Action
from deployer.rollout.status import RolloutRecord, RolloutStatus


class RolloutsStatus(Protocol):
    """What the status of either target says of rollouts."""

    @property
    def rollout(self) -> RolloutStatus | None: ...

    @property
    def rollouts(self) -> tuple[RolloutRecord, ...]: ...


class Place(Protocol):
    """Where a deployment is. Both raise TurnoutError, where it can't be reached or there is none of its name."""

    def status(self) -> RolloutsStatus:
        """How its rollouts stand."""
        ...

    def request(self, action: Action) -> RolloutsStatus:
        """Ask for an action; how they stand once it was taken."""
        ...


@dataclass(frozen=True)
class Local:
    """The deployment `name` on this machine."""

    state: StateFolder
    name: str

    def status(self) -> RolloutsStatus:
        supervised(self.state)
        key = named(self.state, self.name).key
        found = status(self.state, key)
        if found is None:
            raise TurnoutError(f"{key} is not started yet; `turnout status --watch` shows when it is")
        return found

    def request(self, action: Action) -> RolloutsStatus:
        token = self.state.write_action(named(self.state, self.name).key, action)
        while True:
            supervised(self.state)
            found = status(self.state, named(self.state, self.name).key)
            if found is not None and found.action == token:
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
    found = place.status()
    now = _present(found, name)
    if output == "json":
        _show(found, now)
    else:
        click.echo("\n".join(describe.explain(now, found.rollouts, time.time())))


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
    _request(place, name, Action.PROMOTE, output)


def _command(action: Action, help: str) -> None:
    @rollout.command(str(action), help=help)
    @_of_deployment
    @options.output
    def request(name: str, place: Place, output: str) -> None:
        _request(place, name, action, output)


_command(Action.PAUSE, "Keep the canary of NAME at its weight. It is still rolled back if it turns out to be worse.")
_command(Action.RESUME, "Let the rollout of NAME go on, which was paused.")
_command(Action.APPROVE, "Let the rollout of NAME pass the pause after its present step.")
_command(Action.ROLLBACK, "End the rollout of NAME: stable gets all traffic back.")
_command(Action.RETRY, "Begin the rollout of NAME again, which was rolled back.")
_command(Action.UNDO, "Give all traffic of NAME back to the version that was stable before the promotion.")


def _request(place: Place, name: str, action: Action, output: str) -> None:
    if why := refusal(_present(place.status(), name), action):
        raise TurnoutError(why)
    found = place.request(action)
    now = _present(found, name)
    if output == "json":
        _show(found, now)
    else:
        click.echo(describe.line(now))


def _present(found: RolloutsStatus, name: str) -> RolloutStatus:
    if found.rollout is None:
        raise TurnoutError(
            f"{name} has had no rollout: one begins once its document has spec.rollout, and a canary beside stable"
        )
    return found.rollout


def _show(found: RolloutsStatus, now: RolloutStatus) -> None:
    rollouts = [record.model_dump(mode="json", exclude_none=True) for record in found.rollouts]
    options.show_as_json({"rollout": now.model_dump(mode="json", exclude_none=True), "rollouts": rollouts})
