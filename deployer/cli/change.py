"""The commands that change what should run: apply, traffic, promote, rollback, delete."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from deployer.cli import options
from deployer.cli.client import edits
from deployer.cli.client.wait import POLL, QUIET, named, status, supervised, wait
from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.local.policy.status import DeploymentStatus
from deployer.local.state_folder import StateFolder
from deployer.rollout import describe
from deployer.rollout.state import Phase, is_under_way
from deployer.rollout.status import RolloutStatus


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@options.state
@options.no_wait
@options.output
def apply(files: tuple[str, ...], state: StateFolder, no_wait: bool, output: str) -> None:
    """Make what runs follow the documents in FILE...; - is standard input."""
    # Not at the top: the other commands here read no YAML and make no environment.
    from deployer.document.loader import read
    from deployer.local import environments
    from deployer.local.policy import limits

    options.refuse_unwaited_json(no_wait, output)
    documents = read(files)
    limits.check(documents)
    supervised(state)
    for runtime in {document.spec.runtime for document in documents}:
        environments.program(runtime)  # here, and not in the supervisor, so that its progress is seen
    with state.editing():
        before = {document.key: document for document in state.documents()}
        stands = {document.key: status(state, document.key) for document in documents}
        for document in documents:
            state.write_document(document)
    for document in documents:
        _note_differences(before.get(document.key), document, stands[document.key])
    _finish(state, documents, lambda now: now.settled, no_wait, output)


@click.command()
@click.argument("name")
@click.argument("shares", metavar="VERSION=PERCENT...", nargs=-1, required=True)
@options.state
@options.no_wait
@options.output
def traffic(name: str, shares: tuple[str, ...], state: StateFolder, no_wait: bool, output: str) -> None:
    """Split the traffic of NAME: turnout traffic digits v1=90 v2=10.

    Done once every worker of the gateway splits so.
    """
    parsed = dict(map(_share, shares))
    if len(parsed) < len(shares):
        raise TurnoutError(f"a version stands twice in {' '.join(shares)}; give each one share")

    def change(document: ModelDeployment) -> ModelDeployment:
        if document.spec.rollout is not None:
            raise TurnoutError(
                f"a rollout moves the weight of {document.key}: `turnout rollout` can hold it (pause) and end it "
                "(promote --now, rollback); without spec.rollout in the document it is yours to move"
            )
        return edits.shared(document, parsed)

    _change(state, name, change, no_wait, output)


@click.command()
@click.argument("name")
@options.state
@options.no_wait
@options.output
def promote(name: str, state: StateFolder, no_wait: bool, output: str) -> None:
    """Make the canary of NAME stable, with all traffic; the old stable runs on without.

    Once a rollout has promoted it, this lets the document say so.
    """

    def change(document: ModelDeployment) -> ModelDeployment:
        after = edits.promoted(document)
        canary = after.spec.traffic.stable
        now = status(state, document.key)
        if document.spec.rollout is not None:
            _refuse_before_promotion(name, canary, now.rollout if now is not None else None)
        if now is None or not any(version.name == canary and version.ready for version in now.versions):
            raise TurnoutError(
                f"{canary} of {document.key} isn't ready, so it can't become stable; see `turnout status`"
            )
        return after

    _change(state, name, change, no_wait, output)


@click.command()
@click.argument("name")
@options.state
@options.no_wait
@options.output
def rollback(name: str, state: StateFolder, no_wait: bool, output: str) -> None:
    """Give all traffic of NAME back to its stable version; the canary runs on without."""

    def change(document: ModelDeployment) -> ModelDeployment:
        if document.spec.rollout is not None:
            raise TurnoutError(
                f"{document.key} has a rollout: `turnout rollout rollback {name}` ends it while it is under way, and "
                f"`turnout rollout undo {name}` takes a promotion back"
            )
        return edits.rolled_back(document)

    _change(state, name, change, no_wait, output)


@click.command()
@click.argument("name")
@options.state
@options.no_wait
@options.output
def delete(name: str, state: StateFolder, no_wait: bool, output: str) -> None:
    """Take NAME out of the gateway, and end what serves it. Its models stay."""
    with state.editing():
        document = named(state, name)
        state.delete_document(document.key)
    start, noted = time.monotonic(), False
    # Without a supervisor nothing of it runs, or what runs ends with the next one.
    while not no_wait and state.supervisor() is not None:
        if not any(record.deployment == document.key for record in state.records()):
            break
        if not noted and time.monotonic() - start > QUIET:
            options.note(f"{document.key}: its last requests are under way, then its model servers end")
            noted = True
        time.sleep(POLL)
    if output == "json":
        options.show_as_json({"deleted": document.key})
    else:
        click.echo(f"{document.key}: deleted")


def _refuse_before_promotion(name: str, canary: str, rollout: RolloutStatus | None) -> None:
    """Raises TurnoutError unless the rollout has promoted the canary: the document would overrule it."""
    if rollout is not None and rollout.canary == canary and rollout.phase is Phase.PROMOTED:
        return
    if rollout is not None and rollout.canary == canary and rollout.phase is Phase.ROLLED_BACK:
        raise TurnoutError(
            f"{canary} was rolled back: {rollout.reason}; `turnout rollout retry {name}` tries it again, and a "
            f"document with stable: {canary}, by `turnout apply`, takes it all the same"
        )
    raise TurnoutError(
        f"the rollout of {canary} is not over, and promotes it by itself; `turnout rollout promote {name} --now` does "
        "it without waiting for the evidence"
    )


def _change(
    state: StateFolder, name: str, change: Callable[[ModelDeployment], ModelDeployment], no_wait: bool, output: str
) -> None:
    options.refuse_unwaited_json(no_wait, output)
    supervised(state)
    with state.editing():
        before = named(state, name)
        after = change(before)
        stands = status(state, after.key)
        state.write_document(after)
    _note_differences(before, after, stands)
    _finish(state, [after], lambda now: now.routed, no_wait, output)


def _finish(
    state: StateFolder,
    documents: list[ModelDeployment],
    done: Callable[[DeploymentStatus], bool],
    no_wait: bool,
    output: str,
) -> None:
    if no_wait:
        return
    reached = []
    for document in documents:
        now = wait(state, document, done, options.note)
        reached.append(now)
        if output == "text":
            shares = ", ".join(f"{version.name} {version.share:g} %" for version in now.versions)
            click.echo(f"{document.key}: in force, {shares}")
            if is_under_way(now.rollout):
                click.echo(
                    f"{document.key}: {describe.line(now.rollout)}; `turnout status --watch` shows how it goes on"
                )
    if output == "json":
        options.show_as_json({"deployments": [status.shown() for status in reached]})


def _note_differences(before: ModelDeployment | None, after: ModelDeployment, stands: DeploymentStatus | None) -> None:
    for line in list(edits.differences(before, after, stands)) or ["nothing to change"]:
        options.note(f"{after.key}: {line}")


def _share(argument: str) -> tuple[str, float]:
    version, equals, percent = argument.partition("=")
    try:
        if version and equals:
            return version, float(percent.removesuffix("%"))
    except ValueError:
        pass
    raise TurnoutError(f"{argument} is no share of traffic; write VERSION=PERCENT, such as v2=10")
