"""Reading ModelDeployments from YAML files, with all that is wrong in them at once, each with its line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deployer.document.model import API_VERSION, KIND, ModelDeployment
from deployer.document.model_uri import absolute, is_local
from deployer.document.validation import FieldProblem, examined
from deployer.document.values import dotted
from deployer.document.yaml_tree import MAX_PROBLEMS, Node, Place, YamlProblem, parse
from deployer.errors import TurnoutError, nearest
from deployer.local.models import located
from deployer.runtimes.base import ModelMissing
from deployer.runtimes.registry import RUNTIMES

MAX_BYTES = 1024 * 1024
"""The largest file; what Kubernetes' store takes at most is of this size."""
STDIN = "-"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `path` is the field (spec.versions[1].modle), "" for the whole document.

    As text it is one line, whatever the file holds.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        text = f"{self.file}:{self.line}:{self.column}: {path}{self.message}{hint}"
        return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class DocumentError(TurnoutError):
    """Documents that can't be used, for all these reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems[:MAX_PROBLEMS])
        more = ["and more: mend these first"] if len(problems) > MAX_PROBLEMS else []
        super().__init__("\n".join([*map(str, self.problems), *more]))


def read(sources: Iterable[str], *, models: bool = True) -> list[ModelDeployment]:
    """The deployments in the files `sources` ("-": standard input), in order.

    With `models`, models are looked for on this machine: their paths are absolute then, and a model that is not there
    is a problem too. A version that says what image it has, or anything else of its pods, may have it in there.

    Raises:
        DocumentError: something is wrong with any of them; it holds all problems of all files, up to `MAX_PROBLEMS`.
    """
    deployments: list[ModelDeployment] = []
    problems: list[Problem] = []
    described: dict[str, str] = {}
    for source in dict.fromkeys(sources):
        here: list[Problem] = []
        for node, found in _documents(source, models):
            if isinstance(found, list):
                here += found
            else:
                at = node.find(("metadata", "name"))
                if found.key in described:
                    hint = f"it is in {described[found.key]}; rename one"
                    message = f"{found.key} is described twice"
                    here.append(Problem(_shown(source), *at, "metadata.name", message, hint))
                described.setdefault(found.key, f"{_shown(source)}:{at.line}")
                deployments.append(found)
            if len(problems) + len(here) > MAX_PROBLEMS:  # the rest is not looked at
                break
        problems += sorted(here, key=lambda problem: (problem.line, problem.column))
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise DocumentError(problems)
    return deployments


def dump(deployment: ModelDeployment) -> str:
    """The deployment as a YAML document that `read` takes; fields that were left out stay out."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # the order of the document is kept
    stream = io.StringIO()
    yaml.dump(deployment.model_dump(mode="json", exclude_unset=True, exclude_none=True), stream)
    return stream.getvalue()


def _documents(source: str, models: bool) -> Iterator[tuple[Node, ModelDeployment | list[Problem]]]:
    nowhere = Node(None, Place(1, 1))
    text = _text(source)
    if isinstance(text, Problem):
        yield nowhere, [text]
        return
    nodes, yaml_problems = parse(text)
    if yaml_problems:
        yield nowhere, [_mistaken(source, problem) for problem in yaml_problems]
    elif not nodes:
        hint = f"it should begin with apiVersion: {API_VERSION} and kind: {KIND}"
        yield nowhere, [Problem(_shown(source), 1, 1, "", "no document in this file", hint)]
    for node in nodes:
        yield node, _deployment(source, node, yaml_problems, models)


def _deployment(
    source: str, node: Node, yaml_problems: list[YamlProblem], models: bool
) -> ModelDeployment | list[Problem]:
    """The deployment, or what is wrong with it beside `yaml_problems`."""
    folder = os.getcwd() if source == STDIN else os.path.dirname(os.path.abspath(source))
    data = node.plain()
    deployment = None
    if not isinstance(data, dict) or _is_foreign(data):
        unplaced = [_foreign(data)]
    else:
        deployment, unplaced = examined(data)
        unplaced += _lacks(data, folder) if models else []
    known = {(problem.path, problem.place) for problem in yaml_problems}
    placed = sorted((node.find(problem.path, key=problem.key), problem) for problem in dict.fromkeys(unplaced))
    problems = [
        Problem(_shown(source), *place, dotted(problem.path), problem.message, problem.hint)
        for place, problem in placed
        if (problem.path, place) not in known
    ]
    if deployment is None or problems:
        return problems
    return deployment.resolved(folder) if models else deployment


def _is_foreign(data: dict[str, Any]) -> bool:
    """Whether this is an object of another kind, and no misspelt one of ours."""
    kind, form = data.get("kind"), data.get("apiVersion")
    if not isinstance(kind, str) or kind == KIND:
        return False
    if isinstance(form, str):
        return not form.startswith(API_VERSION.partition("/")[0])
    return nearest(kind, [KIND]) is None


def _foreign(data: object) -> FieldProblem:
    if isinstance(data, dict):
        of = f" of {data['apiVersion']}" if isinstance(data.get("apiVersion"), str) else ""
        message = f"this is a {data['kind']}{of}, not a {KIND}"
        hint = f"a {KIND} has apiVersion: {API_VERSION}; keep other objects in files of their own"
        return FieldProblem(("kind",), message, hint)
    what = "a list" if isinstance(data, list) else "a single value"
    return FieldProblem((), f"this is {what}, not a {KIND}", f"begin with apiVersion: {API_VERSION} and kind: {KIND}")


def _lacks(data: dict[str, Any], folder: str) -> Iterator[FieldProblem]:
    """Models that the runtime would not find on this machine. What is no path, list or runtime is told elsewhere."""
    spec = data["spec"] if isinstance(data.get("spec"), dict) else {}
    name = spec.get("runtime")
    runtime = RUNTIMES.get(name) if isinstance(name, str) else None
    if runtime is None or not runtime.knows_models:
        return
    versions = spec["versions"] if isinstance(spec.get("versions"), list) else []
    for index, version in enumerate(versions):
        model = version.get("model") if isinstance(version, dict) and not version.keys() & {"image", "pod"} else None
        if isinstance(model, str) and is_local(model):
            try:
                located(runtime.name, Path(absolute(model, folder)))
            except ValueError:
                continue
            except ModelMissing as error:
                message, _, hint = str(error).partition("; ")
            except OSError as error:
                message, hint = f"{model[:60]} can't be looked at: {error.strerror}", ""
            else:
                continue
            yield FieldProblem(("spec", "versions", index, "model"), message, hint)


def _mistaken(source: str, problem: YamlProblem) -> Problem:
    return Problem(_shown(source), *problem.place, dotted(problem.path), problem.message, problem.hint)


def _shown(source: str) -> str:
    return "<stdin>" if source == STDIN else source


def _text(source: str) -> str | Problem:
    """What the file holds, or why that can't be told."""
    name = _shown(source)
    try:
        if source == STDIN:
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(source, "rb") as file:
                raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        files = sorted(entry for entry in os.listdir(source) if entry.endswith((".yaml", ".yml")))
        hint = f"name its files, such as {os.path.join(source, files[0])}" if files else "name a YAML file"
        return Problem(name, 1, 1, "", "this is a folder", hint)
    except FileNotFoundError:
        folder = os.path.dirname(source) or "."
        near = nearest(os.path.basename(source), os.listdir(folder)) if os.path.isdir(folder) else None
        hint = f"did you mean {os.path.join(os.path.dirname(source), near)}?" if near else ""
        return Problem(name, 1, 1, "", "no such file", hint)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a zero byte
        return Problem(name, 1, 1, "", f"it can't be read: {getattr(error, 'strerror', None) or error}")
    if len(raw) > MAX_BYTES:
        return Problem(name, 1, 1, "", f"larger than {MAX_BYTES // 1024} KiB", "split it into several files")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        return Problem(name, line, column, "", f"byte {raw[error.start]:#04x} is not UTF-8", "save the file as UTF-8")
