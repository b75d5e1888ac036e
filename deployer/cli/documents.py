"""`turnout validate` and `turnout schema`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from deployer.cli import options
from deployer.document.json_schema import schema as document_schema
from deployer.document.loader import DocumentError, Problem, read
from deployer.document.model import ModelDeployment
from deployer.rollout.simulation.forecast import BAD, least_rate
from deployer.rollout.strategy import of


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--rate", type=options.Between(0, min_open=True), help="Requests a second, to see if they are enough.")
@options.output
def validate(files: tuple[str, ...], rate: float | None, output: str) -> None:
    """Check documents, and that their models are there; tell all that is wrong.

    Each problem is told with its file, line and field, and what would be right. - is standard input. A rollout that
    can't end within its deadline is valid, and warned of: with --rate if so few requests are too few for it, else by
    how many it takes.
    """
    problems: tuple[Problem, ...] = ()
    documents: list[ModelDeployment] = []
    try:
        documents = read(files)
    except DocumentError as error:
        if output == "text":
            raise
        problems = error.problems
    names = [document.key for document in documents]
    warnings = [warning for document in documents if (warning := _warning(document, rate))]
    if output == "json":
        listed = [asdict(problem) for problem in problems]
        options.show_as_json({"valid": not problems, "deployments": names, "problems": listed, "warnings": warnings})
    else:
        click.echo(f"valid: {', '.join(names)}")
        for warning in warnings:
            options.note(warning)
    sys.exit(1 if problems else 0)


def _warning(document: ModelDeployment, rate: float | None) -> str | None:
    """That the rollout's evidence comes too late, unless `rate` requests a second are known to be enough."""
    rollout = document.spec.rollout
    if rollout is None:
        return None
    least, weight = least_rate(of(rollout))
    if rate is not None and rate >= least:
        return None
    return (
        f"{document.key}: below about {float(f'{least:.2g}'):g} requests/s the step of {weight:g} % is overdue before "
        f"there is evidence, if {BAD:.0%} of them are bad; `turnout simulate` tells more"
    )


@click.command()
def schema() -> None:
    """Print the document's JSON Schema, by which editors complete and check it."""
    options.show_as_json(document_schema())
