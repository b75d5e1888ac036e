"""How much of the code the last run of pytest with `--cov` reached, by lines and by branches.

`python -m tests.coverage` lists what was missed of the pure code, and fails where that is too much. What is pure stands
in pyproject.toml, in the import contract that holds it so.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from coverage import Coverage

ROOT = Path(__file__).parents[1]

FLOOR = 98.0
"""Percent of the pure code's lines, and of its branches, that tests must reach."""

File = dict[str, Any]
"""What coverage reports of one file."""


def is_pure(path: str, contract: dict[str, Any]) -> bool:
    """`contract`: the one of the pure code, as pyproject.toml has it."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if not any(module == source or module.startswith(f"{source}.") for source in contract["source_modules"]):
        return False
    # Who may import anything stands among what is pure, and isn't.
    imports = [line.split(" -> ") for line in contract["ignore_imports"]]
    return not any(imported == "*" and fnmatchcase(module, importer) for importer, imported in imports)


def percents(files: Iterable[File]) -> tuple[float, float]:
    """How many of the lines, and of the branches, were reached."""
    sums: Counter[str] = Counter()
    for file in files:
        sums.update({name: count for name, count in file["summary"].items() if isinstance(count, int)})
    return (
        100 * sums["covered_lines"] / sums["num_statements"],
        100 * sums["covered_branches"] / sums["num_branches"],
    )


def main() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["name"].startswith("Pure in the middle"))
    measured = Coverage(messages=False)
    measured.load()
    with tempfile.NamedTemporaryFile() as report:
        measured.json_report(outfile=report.name)
        files: dict[str, File] = json.load(report)["files"]
    pure = {path: file for path, file in files.items() if is_pure(path, contract)}
    for path, file in pure.items():
        for line in file["missing_lines"]:
            print(f"{path}:{line}: no test comes here")
        for line, target in file["missing_branches"]:
            if line not in file["missing_lines"]:
                print(f"{path}:{line}: no test goes on {f'at line {target}' if target > 0 else 'to the end'}")
    reached = percents(pure.values())
    print("of the pure code, {:.1f} % of lines and {:.1f} % of branches were reached".format(*reached))
    print("of all code, {:.1f} % of lines and {:.1f} % of branches".format(*percents(files.values())))
    if min(reached) < FLOOR:
        sys.exit(f"of the pure code, tests have to reach {FLOOR:.0f} % of lines and of branches")


if __name__ == "__main__":
    main()
