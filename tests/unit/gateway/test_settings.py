"""Each setting of the gateway has all its parts, and a test says which one is missing."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from deployer.cli.up import up
from deployer.local import gateway_process
from gateway.cli import main
from gateway.settings import KIB, MIB, Settings

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "turnout"
TEMPLATE = re.sub(r'- "(--.+)"', r"- \1", (CHART / "templates" / "gateway" / "deployment.yaml").read_text())
VALUES = YAML(typ="safe").load(CHART / "values.yaml")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PAGE = (ROOT / "docs" / "reference" / "gateway.md").read_text()
OPTIONS = {option.name: option for option in main.params if isinstance(option, click.Option)}
FIELDS = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
"""The defaults."""

BOUNDS = {
    "poll_interval", "backlog", "max_head_bytes", "gather_budget_bytes", "connect_timeout",
    "max_endpoint_connections", "max_endpoint_grpc_connections", "max_endpoint_waiting", "read_timeout", "idle_timeout",
    "max_connection_age", "upstream_idle_timeout", "upstream_grpc_idle_timeout", "hang_seconds",
    "log_failures_per_second",
}  # fmt: skip
"""What nobody had to choose yet: without an option. Settings says why each is as it is; tests choose other values."""

NOT_OF_UP = {
    "discovery": "what `turnout up` writes is a file",
    "namespace": "of Kubernetes",
    "proxies": "TURNOUT_GATEWAY_PROXIES, which the gateway inherits",
    "timeout": "TURNOUT_GATEWAY_TIMEOUT, which the gateway inherits",
    "max_timeout": "TURNOUT_GATEWAY_MAX_TIMEOUT, which the gateway inherits",
    "max_message_bytes": "TURNOUT_GATEWAY_MAX_MESSAGE_BYTES, which the gateway inherits",
    "drain_seconds": "TURNOUT_GATEWAY_DRAIN_SECONDS, which the gateway inherits",
}
"""Options that `turnout up` doesn't pass on, and why."""

CHOSEN_BY_UP = {
    "host": "a laptop's gateway is nobody else's business",
    "admin_host": "the same",
    "table": "`turnout up` writes it in its state folder",
}
"""Options that `turnout up` passes on without having them itself, and why."""

FIXED_IN_CHART = {
    "host": "a pod's port is reached from other pods",
    "port": "the pod's own; its Service has those that are asked for",
    "admin_host": "as host",
    "admin_port": "as port",
    "discovery": "a cluster's is its API server",
}
"""Options that the chart passes on without a value, and why."""

NOT_IN_CHART = {
    "state": "TURNOUT_STATE, a folder of the pod",
    "table": "of the discovery that the chart doesn't use",
    "timeout": "gateway.env, TURNOUT_GATEWAY_TIMEOUT",
    "max_timeout": "gateway.env, TURNOUT_GATEWAY_MAX_TIMEOUT",
    "max_message_bytes": "gateway.env, TURNOUT_GATEWAY_MAX_MESSAGE_BYTES",
}
"""Options that the chart doesn't pass on, and why."""


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def reasons() -> dict[str, str]:
    """What Settings says of each of its fields."""
    (made,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(made, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in zip(made.body, made.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def missing(name: str) -> Iterator[str]:
    """The parts that the setting lacks, each with where it belongs."""
    option = OPTIONS.get(name)
    if name not in reasons():
        yield f"setting {name}: gateway/settings.py doesn't say below it why its default is what it is"
    if option is None:
        if name not in BOUNDS:
            yield (
                f"setting {name}: gateway/cli.py has no option {flag(name)}; "
                "a bound that nobody has to choose is named in BOUNDS of tests/unit/gateway/test_settings.py instead"
            )
        if f"\n| `{name}` |" not in PAGE:
            yield f"setting {name}: docs/reference/gateway.md has no row for `{name}` among the bounds"
        return
    if not option.help:
        yield f"setting {name}: gateway/cli.py has no help for {flag(name)}"
    if f"\n| `{flag(name)}` |" not in PAGE:
        yield f"setting {name}: docs/reference/gateway.md has no row for `{flag(name)}` among the options"
    yield from _of_up(name)
    yield from _of_chart(name)


def _of_up(name: str) -> Iterator[str]:
    passed = f'"{flag(name)}"' in inspect.getsource(gateway_process)
    if not passed and name not in NOT_OF_UP:
        yield (
            f"setting {name}: deployer/local/gateway_process.py doesn't pass {flag(name)} on; where it need not, "
            "NOT_OF_UP of tests/unit/gateway/test_settings.py says why"
        )
    if passed and name not in CHOSEN_BY_UP and name not in {option.name for option in up.params}:
        yield (
            f"setting {name}: deployer/cli/up.py has no option {flag(name)}; where it need not, "
            "CHOSEN_BY_UP of tests/unit/gateway/test_settings.py says why"
        )


def _of_chart(name: str) -> Iterator[str]:
    passed = re.search(rf"- {flag(name)}=(.+)", TEMPLATE)
    if passed is None:
        if name not in NOT_IN_CHART:
            yield (
                f"setting {name}: charts/turnout/templates/gateway/deployment.yaml doesn't pass {flag(name)} on; "
                "where it need not, NOT_IN_CHART of tests/unit/gateway/test_settings.py says why"
            )
        return
    value = re.search(r"\{\{ (?:join \",\" )?(?:\.Values\.([\w.]+)|\.) \}\}", passed[1])
    if value is None:
        if name not in FIXED_IN_CHART:
            yield (
                f"setting {name}: charts/turnout/templates/gateway/deployment.yaml has {passed[1]} for {flag(name)}, "
                "and no value; where it need not, FIXED_IN_CHART of tests/unit/gateway/test_settings.py says why"
            )
        return
    # A lone dot is the value of the `with` above it.
    path = value[1] or re.findall(r"with \.Values\.([\w.]+)", TEMPLATE[: passed.start()])[-1]
    yield from _of_values(name, path)


def _of_values(name: str, path: str) -> Iterator[str]:
    values, schema = VALUES, SCHEMA
    for part in path.split("."):
        values, schema = values.get(part, {}), schema["properties"].get(part, {})
    if values == {}:
        yield f"setting {name}: charts/turnout/values.yaml has no {path}"
    if schema == {}:
        yield f"setting {name}: charts/turnout/values.schema.json has no {path}"


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_has_all_its_parts(name: str) -> None:
    lost = list(missing(name))
    assert not lost, "\n".join(lost)


def test_options_are_settings_and_have_their_defaults() -> None:
    assert Settings(**main.make_context("turnout-gateway", []).params) == Settings()


def test_what_is_said_to_be_missing_is() -> None:
    """So that no list goes on saying why something isn't there that has come meanwhile."""
    assert not BOUNDS & OPTIONS.keys()
    assert not {name for name in NOT_OF_UP if f'"{flag(name)}"' in inspect.getsource(gateway_process)}
    assert not {name for name in NOT_IN_CHART if f"- {flag(name)}=" in TEMPLATE}
    assert not {name for name in FIXED_IN_CHART if re.search(rf"- {flag(name)}=.*\{{\{{", TEMPLATE)}
    assert {*BOUNDS, *NOT_OF_UP, *CHOSEN_BY_UP, *FIXED_IN_CHART, *NOT_IN_CHART} <= FIELDS.keys()


def test_the_page_has_what_the_code_says() -> None:
    rows = [re.split(r" *\| *", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| `")]
    options = {row[0]: (row[1], row[-1]) for row in rows if row[0].startswith("`--")}
    assert options == {
        f"`{flag(name)}`": (_shown(name, options), (option.help or "").partition("  [default")[0])
        for name, option in OPTIONS.items()
    }
    assert {row[0]: row[1] for row in rows if row[0] not in options} == {f"`{name}`": _amount(name) for name in BOUNDS}


WORDS = ("workers", "state", "namespace", "table", "proxies")


def _shown(name: str, rows: dict[str, tuple[str, str]]) -> str:
    """An option's default, as the page has it; in words, where it depends on the machine or is none."""
    return rows[f"`{flag(name)}`"][0] if name in WORDS else f"`{FIELDS[name]}`"


def _amount(name: str) -> str:
    value = FIELDS[name]
    if name.endswith("bytes"):
        return f"{value // MIB} MiB" if value >= MIB else f"{value // KIB} KiB"
    return f"{value:g} s" if isinstance(value, float) and "_per_" not in name else f"{value:g}"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = "tests/unit/gateway/test_settings.py"
    unexplained = "setting colour: gateway/settings.py doesn't say below it why its default is what it is"
    assert list(missing("colour")) == [
        unexplained,
        "setting colour: gateway/cli.py has no option --colour; "
        f"a bound that nobody has to choose is named in BOUNDS of {lists} instead",
        "setting colour: docs/reference/gateway.md has no row for `colour` among the bounds",
    ]
    monkeypatch.setitem(OPTIONS, "colour", click.Option(["--colour"]))
    assert list(missing("colour")) == [
        unexplained,
        "setting colour: gateway/cli.py has no help for --colour",
        "setting colour: docs/reference/gateway.md has no row for `--colour` among the options",
        "setting colour: deployer/local/gateway_process.py doesn't pass --colour on; where it need not, "
        f"NOT_OF_UP of {lists} says why",
        "setting colour: charts/turnout/templates/gateway/deployment.yaml doesn't pass --colour on; "
        f"where it need not, NOT_IN_CHART of {lists} says why",
    ]
    assert list(_of_values("colour", "gateway.colour")) == [
        "setting colour: charts/turnout/values.yaml has no gateway.colour",
        "setting colour: charts/turnout/values.schema.json has no gateway.colour",
    ]
