"""Each file in `examples/` is a valid document, whether its models are trained yet or not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployer.document.loader import dump, read
from deployer.runtimes.registry import RUNTIMES

EXAMPLES = Path(__file__).parents[4] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def test_there_are_examples_of_all_runtimes() -> None:
    runtimes = {deployment.spec.runtime for file in FILES for deployment in read([str(file)], models=False)}
    assert runtimes == set(RUNTIMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_is_valid_and_round_trips(file: Path, tmp_path: Path) -> None:
    (deployment,) = read([str(file)], models=False)
    for version in deployment.spec.versions:
        assert version.path.startswith("models/digits")
    written = tmp_path / "written.yaml"
    written.write_text(dump(deployment))
    assert read([str(written)], models=False) == [deployment]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_explains_itself(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert f"#   turnout up examples/{file.name}" in lines
    named = re.findall(r"turnout (?:traffic|promote) (\S+)", file.read_text())
    assert set(named) <= {deployment.metadata.name for deployment in read([str(file)], models=False)}
