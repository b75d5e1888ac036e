"""What `deployer/document/rollout_rules.py` says, as the API server checks it. Pure."""

from __future__ import annotations

from deployer.document.rollout import DEADLINE, INTERVAL, OBJECTIVES, STEPS
from deployer.kubernetes.crd.cel_rule import Node, Rule, has_one, listed, two_decimals
from gateway.contract.headers import FIELD_NAME_PATTERN

_STEPS = f"(has(self.steps) ? self.steps : [{', '.join(map(str, STEPS))}])"

_ROLLOUT: tuple[Rule, ...] = (
    Rule(
        "!has(self.steps) || self.steps.isSorted() && self.steps.all(a, self.steps.exists_one(b, b == a))",
        "steps do not rise; order them from least to most, each once",
        ".steps",
    ),
    Rule(
        f"!has(self.pauses) || self.pauses.all(p, {_STEPS}.exists(s, s == p.at))",
        "a pause is at none of the steps; write one of them in at:",
        ".pauses",
    ),
    Rule(
        "!has(self.pauses) || self.pauses.all(p, self.pauses.exists_one(q, q.at == p.at))",
        "a step has two pauses; leave one of them out",
        ".pauses",
    ),
    Rule(
        f"duration(has(self.interval) ? self.interval : '{INTERVAL}')"
        f" < duration(has(self.deadline) ? self.deadline : '{DEADLINE}')",
        "a step's deadline is not longer than its interval; write a longer deadline",
        ".deadline",
    ),
    Rule(
        "!has(self.queries) || has(self.evidence) && self.evidence == 'prometheus'",
        "queries are for Prometheus, which isn't asked; leave them out, or write evidence: prometheus",
        ".queries",
    ),
)

ROLLOUT_RULES: dict[Node, tuple[Rule, ...]] = {
    ("spec", "traffic", "weight"): (two_decimals("weight"),),
    ("spec", "traffic", "sticky"): (
        Rule(has_one(("header", "cookie")), "sticky needs one of header and cookie; write one, and only one"),
    ),
    ("spec", "traffic", "match", "[]", "header"): (
        Rule(
            f'self.all(name, name.size() <= 128 && name.matches("{FIELD_NAME_PATTERN}"))',
            "header has a name that is no header's; write it in lower case",
        ),
    ),
    ("spec", "rollout"): _ROLLOUT,
    ("spec", "rollout", "steps", "[]"): (two_decimals("a step"),),
    ("spec", "rollout", "objectives", "slow", "over"): (
        Rule("duration(self) > duration('0s')", "each answer takes longer than over; write a time such as 50ms"),
    ),
    ("spec", "rollout", "objectives", "metrics", "[]"): (
        Rule(has_one(("query", "webhook")), "a metric needs one of query and webhook; write one, and only one"),
        Rule("has(self.min) || has(self.max)", "any value of the metric would be good; write min, max or both"),
        Rule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "max is below min; write as much or more",
            ".max",
        ),
        Rule(
            f"!(self.name in {listed(OBJECTIVES)})",
            f"{', '.join(OBJECTIVES)} are objectives already; rename this one",
            ".name",
        ),
    ),
}
"""The rules of the parts of `traffic` and of `rollout`, by the node that they are of."""
