"""The chart's alerts and dashboard: what they ask for exists, and a real promtool agrees."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from deployer.kubernetes.metrics import Metrics
from gateway.parent.exposition import View, exposition
from gateway.stats.totals import Totals
from loadtests import tools

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "charts/turnout/rules/turnout.yaml"
DASHBOARD = ROOT / "charts/turnout/dashboards/turnout.json"
TESTS = Path(__file__).with_name("rules.yaml")

UNASKED = {
    "turnout_requests_in_flight": "turnout_inflight_seconds_total has their mean over any time",
    "turnout_connections_accepted_total": "those that are open are shown",
    "turnout_table_age_seconds": "an old table is right where nothing has changed; for who looks at one gateway",
    "turnout_discovery_silence_seconds": "turnout_discovery_connected has an alert; this says since when",
    "turnout_draining": "a gateway that ends is meant to; for who looks at one",
    "turnout_build_info": "for who asks which release runs",
    "turnout_operator_api_request_seconds": "for who asks whether the API server is slow; what fails has an alert",
    "turnout_operator_watch_silence_seconds": "a watch may have nothing to say for long",
    "turnout_operator_rollouts": "what a person must see of them has alerts; for panels of your own",
}
"""Metrics that no alert and no panel asks for, and why."""

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in YAML(typ="safe").load(RULES)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Of rules and dashboard, as Prometheus would get them."""
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    chosen = [variable["query"]["query"] for variable in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]]
    return [rule["expr"] for rule in rules()] + [
        expression.replace("$__rate_interval", "1m") for expression in shown + chosen
    ]


def families() -> list[Metric]:
    """All that the gateway and the operator show."""
    view = View(
        sums=Totals().sum([]),
        evidence={},
        source="",
        newest=1,
        in_force=1,
        age=0.0,
        rejected=0,
        rejecting=False,
        connected=True,
        silence=0.0,
        workers={"ready": 1},
        restarts=0,
        draining=False,
    )
    operator = Metrics()
    operator.look(lambda: True, lambda: 0, list, dict, dict)
    body, _ = exposition(view, "")
    return [*text_string_to_metric_families(body.decode()), *CollectorRegistry.collect(operator.registry)]


def series(family: Metric) -> set[str]:
    """The names of its series."""
    return {family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))}


def exposed() -> set[str]:
    return {name for family in families() for name in series(family)}


def test_every_metric_that_is_asked_for_is_there() -> None:
    asked = {name for text in expressions() for name in re.findall(r"\bturnout_\w+", text)}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for text in expressions() for name in re.findall(r"\bturnout:[\w:]+", text)}
    assert len(asked) > 20
    assert asked - exposed() == set()
    assert used <= recorded
    prose = {name for rule in rules() for name in re.findall(r"\bturnout_\w+", str(rule.get("annotations")))}
    assert prose - exposed() == set()


def test_every_metric_is_asked_for() -> None:
    asked = {name for text in expressions() for name in re.findall(r"\bturnout_\w+", text)}
    ours = [family for family in families() if family.name.startswith("turnout_")]
    unasked = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for family in ours
        if not series(family) & asked
    }
    lost = [
        f"{name}: no alert in charts/turnout/rules/turnout.yaml and no panel in charts/turnout/dashboards/turnout.json "
        "asks for it; where none need, UNASKED of tests/chart/test_rules.py says why"
        for name in sorted(unasked - UNASKED.keys())
    ]
    assert not lost, "\n".join(lost)
    assert unasked == UNASKED.keys(), "what is asked for meanwhile leaves UNASKED"


def test_every_alert_says_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({alert["alert"] for alert in alerts}) == len(alerts)
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "runbook"}
        assert len(alert["annotations"]["runbook"]) > 60, alert["alert"]


def test_every_alert_is_shown_to_fire() -> None:
    cases = [case for test in YAML(typ="safe").load(TESTS)["tests"] for case in test.get("alert_rule_test", [])]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules() if "alert" in rule}


def test_every_alert_is_in_the_guide() -> None:
    guide = (ROOT / "docs/kubernetes.md").read_text()
    assert [rule["alert"] for rule in rules() if "alert" in rule and rule["alert"] not in guide] == []


@pytest.mark.tools
def test_promtool_agrees() -> None:
    _promtool("check", "rules", str(RULES))
    _promtool("test", "rules", str(TESTS))


@pytest.mark.tools
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [text for text in expressions() if not text.startswith("label_values")]
    group = {
        "name": "dashboard",
        "rules": [{"record": f"query:{number}", "expr": text} for number, text in enumerate(queries)],
    }
    file = tmp_path / "queries.json"  # YAML, too
    file.write_text(json.dumps({"groups": [group]}))
    _promtool("check", "rules", str(file))


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def _promtool(*arguments: str) -> None:
    done = subprocess.run([tools.promtool(), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
