"""Each runtime of the registry has all its parts, and a test says which one is missing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from deployer.document.loader import read
from deployer.document.model import Spec
from deployer.local import environments
from deployer.runtimes.base import Runtime
from deployer.runtimes.registry import RUNTIMES
from tests.fakes.deployments import CASES

ROOT = Path(__file__).parents[4]
REFERENCE = ROOT / "docs" / "reference" / "document.md"
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
EXAMPLES = {
    deployment.spec.runtime
    for file in (ROOT / "examples").glob("*.yaml")
    for deployment in read([str(file)], models=False)
}


def missing(runtime: Runtime) -> Iterator[str]:
    """The parts that the runtime lacks, each with where it belongs."""
    name = runtime.name
    if RUNTIMES.get(name) is not runtime:
        yield f"{name}: its entry in deployer/runtimes/registry.py"
    if not (environments.lock(name).parent / "runtime.py").exists():
        yield f"{name}: deployer/runtimes/{name}/runtime.py"
    if f"runtime-{name}" not in GROUPS:
        yield f"{name}: the dependency group runtime-{name} in pyproject.toml"
    if not environments.lock(name).exists():
        yield f"{name}: deployer/runtimes/{name}/lock.txt, which `make locks` writes"
    if runtime.section is not None and name not in Spec.model_fields:
        yield f"{name}: its section in deployer/document/model.py"
    if not hasattr(runtime, "protocol"):
        yield f"{name}: its protocol, which says what a prediction and a signature are"
    elif runtime.protocol.name not in RUNTIMES:
        yield f"{name}: the runtime {runtime.protocol.name}, which its protocol is called by"
    if name not in EXAMPLES:
        yield f"{name}: an example of it in examples/"
    if name not in {deployment.spec.runtime for deployment, _ in CASES.values()}:
        yield f"{name}: a deployment of it in tests/fakes/deployments.py"
    for page, row in (
        ("docs/reference/document.md", f"| `{name}` | {runtime.title} | {runtime.models} |"),
        ("docs/kubernetes.md", f"| `{name}`"),
        ("README.md", f"| `{name}` |"),
    ):
        if not re.search(f"^{re.escape(row)}", (ROOT / page).read_text(), re.MULTILINE):
            yield f"{name}: a row in {page} that begins with {row}"
    if not re.search(rf"^\| `spec\.runtime` \| [^|]*`{name}`", REFERENCE.read_text(), re.MULTILINE):
        yield f"{name}: a value of spec.runtime in docs/reference/document.md"


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_has_all_its_parts(name: str) -> None:
    lost = list(missing(RUNTIMES[name]))
    assert not lost, "\n".join(lost)


class Bare(Runtime):
    name: ClassVar[str] = "bare"
    title: ClassVar[str] = "Nothing yet"
    models: ClassVar[str] = "anything"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match=r"abstract methods? '?container'?, '?located'?, '?process'?"):
        Bare()  # type: ignore[abstract]
    Bare.__abstractmethods__ = frozenset()
    assert list(missing(Bare())) == [  # type: ignore[abstract]
        "bare: its entry in deployer/runtimes/registry.py",
        "bare: deployer/runtimes/bare/runtime.py",
        "bare: the dependency group runtime-bare in pyproject.toml",
        "bare: deployer/runtimes/bare/lock.txt, which `make locks` writes",
        "bare: its protocol, which says what a prediction and a signature are",
        "bare: an example of it in examples/",
        "bare: a deployment of it in tests/fakes/deployments.py",
        "bare: a row in docs/reference/document.md that begins with | `bare` | Nothing yet | anything |",
        "bare: a row in docs/kubernetes.md that begins with | `bare`",
        "bare: a row in README.md that begins with | `bare` |",
        "bare: a value of spec.runtime in docs/reference/document.md",
    ]
