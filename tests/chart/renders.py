"""The chart as Helm renders it, under each of the value files of `charts/turnout/ci`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.cluster.rig import build

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "turnout"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "turnout", "turnout-system"

Object = dict[str, Any]


class HelmFailed(Exception):
    """Helm refused; the message is what it said."""


def helm(*arguments: str | Path) -> str:
    done = subprocess.run([build.helm(), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise HelmFailed(done.stdout + done.stderr)
    return done.stdout


def render(*arguments: str | Path) -> list[Object]:
    """The objects that `helm template` makes, the test's pod included."""
    manifests = helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments)
    return [one for one in YAML(typ="safe").load_all(manifests) if one]


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found
