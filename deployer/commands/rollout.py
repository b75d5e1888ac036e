"""`turnout rollout`: what a person asks of a rollout, and why it stands where it does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import click

from deployer.commands import options
from deployer.errors import TurnoutError
from deployer.local.following import POLL, named, status, supervised
from deployer.local.state import State
from deployer.rollout import words
from deployer.rollout.orders import refusal
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

    state: State
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


@click.group()
def rollout() -> None:
    """Steer the rollout of a deployment, and ask why it stands where it does."""


@rollout.command()
@click.argument("name")
@options.state
@options.output
def explain(name: str, state: State, output: str) -> None:
    """Say why the rollout of NAME stands where it does, with every figure, and how those before it ended."""
    told = Local(state, name).told()
    now = _present(told, name)
    if output == "json":
        _show(told, now)
    else:
        click.echo("\n".join(words.explain(now, told.rollouts, time.time())))


@rollout.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Needed: without the steps that are left, and what they would show.")
@options.state
@options.output
def promote(name: str, now: bool, state: State, output: str) -> None:
    """Give all traffic of NAME to the canary at once. Then it bakes, as it would have by itself."""
    if not now:
        raise TurnoutError(
            "a rollout promotes by itself, once its canary is shown to be good; "
            f"`turnout rollout promote {name} --now` does it at once, whatever is shown"
        )
    _give(Local(state, name), name, Order.PROMOTE, output)


def _command(order: Order, help: str) -> None:
    @rollout.command(str(order), help=help)
    @click.argument("name")
    @options.state
    @options.output
    def give(name: str, state: State, output: str) -> None:
        _give(Local(state, name), name, order, output)


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
        click.echo(words.line(now))


def _present(told: Told, name: str) -> RolloutStatus:
    if told.rollout is None:
        raise TurnoutError(
            f"{name} has had no rollout: one begins once its document has spec.rollout, and a canary beside stable"
        )
    return told.rollout


def _show(told: Told, now: RolloutStatus) -> None:
    rollouts = [record.model_dump(mode="json", exclude_none=True) for record in told.rollouts]
    options.show_as_json({"rollout": now.model_dump(mode="json", exclude_none=True), "rollouts": rollouts})


COMMANDS: tuple[click.Command, ...] = (rollout,)
