"""How a command finds what it is asked about, and waits until the supervisor has done what it asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deployer.errors import TurnoutError, nearest
from deployer.local.policy.status import Condition, DeploymentStatus
from deployer.local.state_folder import StateFolder, digest

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment

POLL = 0.03
"""Seconds between looks at the status."""
QUIET = 2.0
"""Seconds of waiting before anything is said of it: most changes are in force by then."""


def named(state: StateFolder, name: str) -> ModelDeployment:
    """The deployment called `name`, or `namespace/name`.

    Raises:
        TurnoutError: there is none, a bare name is in several namespaces, or its document can't be read.
    """
    keys = state.keys()
    bare = {key: key.partition("/")[2] for key in keys}
    found = [key for key in keys if name in (key, bare[key])]
    if len(found) > 1:
        raise TurnoutError(f"{name} is in several namespaces; write one of {', '.join(found)}")
    if found and (document := state.document(found[0])) is not None:
        return document
    names = keys if "/" in name else list(bare.values())
    near = nearest(name, names)
    if near:
        hint = f"did you mean {near}?"
    else:
        hint = f"there are {', '.join(sorted(names))}" if names else "there is none yet: `turnout up FILE` starts one"
    raise TurnoutError(f"no deployment is called {name}; {hint}")


def supervised(state: StateFolder) -> None:
    """Raises TurnoutError, with what to do, unless a supervisor runs."""
    if state.supervisor() is None:
        raise TurnoutError(
            f"nothing supervises {state.root}: start it by `turnout up FILE` in another terminal, "
            "or name the state folder of one that runs by --state"
        )


def status(state: StateFolder, key: str) -> DeploymentStatus | None:
    """What the supervisor last said of the deployment, if anything.

    Raises:
        TurnoutError: it can't be read.
    """
    content = state.status(key)
    try:
        return None if content is None else DeploymentStatus.model_validate_json(content)
    except ValidationError:
        raise TurnoutError(
            f"the status of {key} is of another release of Turnout, or damaged; end `turnout up`, and start it anew"
        ) from None


def wait(
    state: StateFolder, document: ModelDeployment, done: Callable[[DeploymentStatus], bool], say: Callable[[str], None]
) -> DeploymentStatus:
    """Wait until the status of `document` is `done`; `say` gets why it isn't, whenever that changes.

    Raises:
        TurnoutError: a version that it needs can't run, the document was replaced, or the supervisor is gone.
    """
    expected, last_why, start = digest(document), "", time.monotonic()
    while True:
        supervised(state)
        now = status(state, document.key)
        if now is not None and now.document == expected:
            if done(now):
                return now
            if failed := [version for version in now.versions if version.condition is Condition.FAILED]:
                reasons = "; ".join(f"{version.name} can't run: {version.reason}" for version in failed)
                raise TurnoutError(f"{document.key}: {reasons}; it is tried again, `turnout status` shows it")
            if (why := _why(now)) != last_why and time.monotonic() - start > QUIET:
                last_why = why
                say(f"{document.key}: {why}")
        elif (declared := state.document(document.key)) is None or digest(declared) != expected:
            raise TurnoutError(f"{document.key} was changed again, or deleted, before this change was in force")
        time.sleep(POLL)


def _why(now: DeploymentStatus) -> str:
    if now.message:
        return now.message
    waiting = [version for version in now.versions if version.condition is not Condition.READY]
    if waiting:
        return "; ".join(f"{v.name} {v.ready}/{v.desired} ready" + (f", {v.reason}" * bool(v.reason)) for v in waiting)
    return "waiting for the gateway's workers to take the route table"
