"""The rules of a ModelDeployment that the API server checks, in its expression language CEL. Pure.

They say what `deployer/document/rules.py` says, as far as CEL can: the cost of each is bounded, so amounts of
resources, whose texts may be of any length to it, are compared by the operator only. What may not change is said here
alone.
"""

from __future__ import annotations

from collections.abc import Callable

from deployer.document.model_uri import REMOTE
from deployer.document.pod_rules import RESERVED
from deployer.kubernetes.crd.cel_rollout import ROLLOUT_RULES
from deployer.kubernetes.crd.cel_rule import Node, Rule, has_one, listed, no_version
from deployer.runtimes.base import Runtime
from deployer.runtimes.registry import RUNTIMES


def _fixed(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


def _of(which: Callable[[Runtime], bool]) -> tuple[str, ...]:
    """The names of the runtimes for which that is so."""
    return tuple(name for name, runtime in RUNTIMES.items() if which(runtime))


_WITH_MODEL, _WITHOUT_MODEL = _of(lambda r: r.needs_model), _of(lambda r: not r.needs_model)
_LOADED, _NUMBERED = _of(lambda r: r.has_implementations), _of(lambda r: r.is_numbered)
_NUMBER = (
    f"has(v.servable) ? string(v.servable) : self.runtime in {listed(_NUMBERED)} && has(v.model)"
    " ? v.model.find('(^|/)0{0,17}[1-9][0-9]{0,17}/*$').find('[1-9][0-9]*') : ''"
)
_SCHEMES = ", ".join(f"{name}://" for name in REMOTE)
_WEIGHTS = "since what was measured under its name holds for those weights only; add a version of another name"

_SPEC: tuple[Rule, ...] = (
    *(
        Rule(
            f"!has(self.{name}) || self.runtime == '{name}'",
            f"only the runtime {name} has spec.{name}; leave it out",
            f".{name}",
        )
        for name in _of(lambda r: r.section is not None)
    ),
    Rule(
        "self.versions.exists(v, v.name == self.traffic.stable)",
        "stable names none of the versions",
        ".traffic.stable",
        "self.traffic.stable",
    ),
    Rule(
        "!has(self.traffic.canary) || self.versions.exists(v, v.name == self.traffic.canary)",
        "canary names none of the versions",
        ".traffic.canary",
        "self.traffic.canary",
    ),
    no_version(
        f"self.runtime in {listed(_WITH_MODEL)} && !has(v.model)",
        f"{' and '.join(_WITH_MODEL)} needs a model; write model: in each version",
    ),
    no_version(
        f"self.runtime in {listed(_WITHOUT_MODEL)} && !has(v.model) && !has(v.image)",
        "there is neither a model nor an image; write model: or image: in each version",
    ),
    no_version(
        f"has(v.implementation) && !(self.runtime in {listed(_LOADED)})",
        f"only {' and '.join(_LOADED)} have a choice of implementations; leave it out of the versions",
    ),
    no_version(
        "has(v.implementation) && !has(v.model)",
        "an implementation loads a model, and there is none; write model: beside it",
    ),
    no_version(
        f"has(v.servable) && !(self.runtime in {listed(_NUMBERED)})",
        f"only {' and '.join(_NUMBERED)} have servable numbers; leave servable out of the versions",
    ),
    Rule(
        "!has(self.traffic.match) || self.traffic.match.all(m, self.versions.exists(v, v.name == m.version))",
        "a match names none of the versions; name one of them",
        ".traffic.match",
    ),
    Rule(
        "!has(self.rollout) || !has(self.traffic.weight) || self.traffic.weight == 0.0",
        "the rollout moves the weight; leave weight out, or leave rollout out and move it by hand",
        ".traffic.weight",
    ),
    Rule(
        "!has(self.traffic.sticky) || !has(self.rollout) || !has(self.rollout.evidence)"
        " || self.rollout.evidence == 'gateways'",
        "Prometheus can't tell sticky keys apart; write evidence: gateways, or leave traffic.sticky out",
        ".rollout.evidence",
    ),
    Rule(
        f"[self.versions.map(v, {_NUMBER}).filter(n, n != '')].all(ns, ns.all(n, ns.exists_one(m, m == n)))",
        "two versions have the same servable number; give one another by servable:",
        ".versions",
    ),
)

_VERSION: tuple[Rule, ...] = (
    Rule(_fixed("model"), f"a version's model can't be changed, {_WEIGHTS}", ".model"),
    Rule(_fixed("servable"), f"a version's servable can't be changed, {_WEIGHTS}", ".servable"),
    Rule(
        "!has(self.autoscaling) || !has(self.autoscaling.target) || !has(self.autoscaling.target.cpu)"
        " || has(self.resources) && has(self.resources.requests) && has(self.resources.requests.cpu)",
        "target.cpu is a percentage of the CPU requested, and none is; write resources.requests.cpu",
        ".autoscaling.target.cpu",
    ),
)

_RULES: dict[Node, tuple[Rule, ...]] = {
    (): (
        Rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63",
            "metadata.name may have 63 lower-case letters, digits and '-', no '.'",
        ),
    ),
    ("spec",): _SPEC,
    ("spec", "runtime"): (
        Rule("self == oldSelf", "the runtime can't be changed; make a ModelDeployment of another name for it"),
    ),
    ("spec", "timeout"): (
        Rule(
            "duration(self) > duration('0s') && duration(self) <= duration('24h')",
            "timeout is not above 0 and at most 24h; write a time such as 5m",
        ),
    ),
    ("spec", "versions", "[]"): _VERSION,
    ("spec", "versions", "[]", "model"): (
        Rule(
            "!self.matches('^[A-Za-z][A-Za-z0-9+.-]*://')"
            f" || self.matches('^(?i:{'|'.join(('file', *REMOTE))})://.*[^/ ]')",
            f"there are no such models; model may be a path in the image, or begin with {_SCHEMES}",
        ),
        Rule("self.matches('[^ ]')", "model names no folder; write a path such as models/digits/1"),
    ),
    ("spec", "versions", "[]", "autoscaling"): (
        Rule(
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            "maxReplicas is below minReplicas; write as many or more",
            ".maxReplicas",
        ),
    ),
    ("spec", "versions", "[]", "autoscaling", "target"): (
        Rule(has_one(("inFlight", "cpu")), "target needs one of inFlight and cpu; write one, and only one"),
    ),
    ("spec", "versions", "[]", "resources"): (
        Rule(
            "!has(self.requests) || !has(self.requests.gpu)",
            "GPUs are not shared, so there is only a limit of them; write limits.gpu",
            ".requests.gpu",
        ),
    ),
    ("spec", "versions", "[]", "env"): (
        Rule(
            "self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",
            "env has a name that is no variable's; use letters, digits and '_', not beginning with a digit",
        ),
    ),
    ("spec", "versions", "[]", "pod", "tolerations", "[]"): (
        Rule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "Exists takes any value; leave value out, or write operator: Equal",
            ".value",
        ),
        Rule(
            "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
            "there is no key to compare the value of; write key, or operator: Exists",
            ".key",
        ),
        Rule(
            "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            "only NoExecute ends pods after a time (tolerationSeconds); write effect: NoExecute",
            ".tolerationSeconds",
        ),
    ),
    ("spec", "versions", "[]", "pod", "envFrom", "[]"): (
        Rule(has_one(("secret", "configMap")), "envFrom needs one of secret and configMap; write one, and only one"),
    ),
    ("spec", "versions", "[]", "pod", "volumes", "[]"): (
        Rule(
            has_one(("secret", "configMap", "pvc")),
            "a volume needs one of secret, configMap and pvc; write one, and only one",
        ),
        Rule(
            f"!{listed(RESERVED)}.exists(taken, self.path == taken || self.path.startsWith(taken + '/'))",
            f"path is taken, by the system or by Turnout, as are {', '.join(RESERVED)}; mount it elsewhere",
            ".path",
        ),
    ),
    ("spec", "traffic"): (
        Rule(
            "!has(self.canary) || self.canary != self.stable",
            "canary is stable already; leave it out, or name another version",
            ".canary",
        ),
        Rule(
            "has(self.canary) || !has(self.weight) || self.weight == 0.0",
            "weight is the canary's share, and there is no canary; name one, or leave weight out",
            ".weight",
        ),
    ),
    **ROLLOUT_RULES,
}

_OF_RUNTIMES = [runtime.cel for runtime in RUNTIMES.values()]
RULES: dict[Node, tuple[Rule, ...]] = {
    node: (*_RULES.get(node, ()), *(rule for rules in _OF_RUNTIMES for rule in rules.get(node, ())))
    for node in (*_RULES, *(node for rules in _OF_RUNTIMES for node in rules))
}
"""The rules by the node that they are of, with those of each runtime."""
