"""Each field that a schema can't say all of has its rule for the API server, and a test says which lacks it.

What the API server makes of the rules is in `tests/cluster/test_documents.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from deployer.document.fields import Part
from deployer.document.json_schema import schema
from deployer.document.model import ModelDeployment, Spec
from deployer.kubernetes.crd.cel import RULES
from deployer.kubernetes.crd.cel_rule import Node

FILES = "deployer/kubernetes/crd/cel.py or cel_rollout.py"
WITHOUT = {
    "spec.versions[].resources.requests.cpu": "the operator checks amounts: their texts may be of any length to CEL",
    "spec.versions[].resources.requests.memory": "the same",
    "spec.versions[].resources.limits.cpu": "the same",
    "spec.versions[].resources.limits.memory": "the same",
    "spec.rollout.pauses[].at": "it is one of the steps, which have a rule",
}
"""Fields with a check that no rule of their own does, and why."""


def unsaid(kind: Any, path: Node = ()) -> Iterator[tuple[Node, str]]:
    """What the models check of a field and no schema can say: the field's node, and the name of the function."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind is not ModelDeployment:  # whose check is that of all rules
            yield from ((path, name) for name in kind.__pydantic_decorators__.model_validators)
        for name, field in kind.model_fields.items():
            here = (*path, field.alias or name)
            yield from _functions(field.metadata, here)
            yield from unsaid(field.annotation, here)
    elif origin is Annotated:
        yield from _functions(inner[1:], path)
        yield from unsaid(inner[0], path)
    elif origin in (Union, UnionType):
        for each in inner:
            yield from unsaid(each, path)
    elif origin is tuple:
        yield from unsaid(inner[0], (*path, "[]"))
    elif origin is dict:
        yield from unsaid(inner[1], (*path, "{}"))


def _functions(metadata: Any, path: Node) -> Iterator[tuple[Node, str]]:
    for one in metadata:
        if isinstance(one, AfterValidator):
            yield path, getattr(one.func, "__name__", str(one.func))
        elif isinstance(one, FieldInfo):
            yield from _functions(one.metadata, path)


def names(node: dict[str, Any], path: Node = ()) -> Iterator[Node]:
    """The mappings whose keys have a form, which a structural schema can't say."""
    if "pattern" in node.get("propertyNames", {}):
        yield path
    for name, part in node.get("properties", {}).items():
        yield from names(part, (*path, name))
    if "items" in node:
        yield from names(node["items"], (*path, "[]"))


def has_rule(node: Node) -> bool:
    """Whether a rule is of the node, or of one above it and about it."""
    own = [(node[:depth], "".join(f".{name}" for name in node[depth:])) for depth in range(len(node))]
    return node in RULES or any(rule.field == field for above, field in own for rule in RULES.get(above, ()))


def lacking(kind: type[BaseModel], document: dict[str, Any], path: Node = ()) -> list[str]:
    """The fields without a rule, each with where it belongs."""
    checked = [(node, function) for node, function in unsaid(kind, path) if _shown(node) not in WITHOUT]
    return [
        *(f"{_shown(node)}: {FILES} has no rule for what {function} checks" for node, function in checked
          if not has_rule(node)),
        *(f"{_shown(node)}: {FILES} has no rule for the form of its keys" for node in names(document, path)
          if node not in RULES),
    ]  # fmt: skip


def _shown(node: Node) -> str:
    return ".".join(node).replace(".[]", "[]").replace(".{}", "{}")


def test_what_a_schema_can_not_say_has_a_rule() -> None:
    lost = lacking(Spec, schema()["properties"]["spec"], ("spec",))
    assert not lost, "\n".join(lost)


class _Pause(Part):
    after: Annotated[float, AfterValidator(round)] = 0
    """When."""


class _Lacking(Part):
    share: Annotated[float, AfterValidator(abs)] | None = None
    """A part."""
    pauses: tuple[_Pause, ...] = ()
    """Stops."""


def test_what_is_missing_is_named() -> None:
    keyed = {"properties": {"keys": {"propertyNames": {"pattern": "^a$"}}}}
    assert lacking(_Lacking, keyed, ("spec", "rollout")) == [
        f"spec.rollout.share: {FILES} has no rule for what abs checks",
        f"spec.rollout.pauses[].after: {FILES} has no rule for what round checks",
        f"spec.rollout.keys: {FILES} has no rule for the form of its keys",
    ]
