"""Programs that know the other systems only, asked beside the servers themselves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deployer.local import environments
from gateway.contract import route_table
from gateway.contract.route_table import Endpoint
from tests.fakes.needs import needed
from tests.fakes.turnout import Turnout

PROGRAMS = Path(__file__).resolve().parents[1] / "e2e" / "programs"
VERSIONS = ("v1", "v2")


@contextmanager
def served(folder: Path, runtime: str, name: str, versions: Mapping[str, dict[str, Any]]) -> Iterator[Turnout]:
    """A `turnout up` of one deployment, half of whose traffic goes to its canary v2; it has to end well."""
    spec = {
        "runtime": runtime,
        "versions": [{"name": version, **fields} for version, fields in versions.items()],
        "traffic": {"stable": "v1", "canary": "v2", "weight": 50},
    }
    document = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps({**document, "spec": spec}))
    with Turnout(folder) as running:
        up = running.up(str(file))
        running.settled(name, seconds=240)
        yield running
        running.stop(up)
        assert running.left() == []


def endpoint(turnout: Turnout, name: str, version: str) -> Endpoint:
    """Of the version's own server."""
    deployment = route_table.read((turnout.state.root / "routes.json").read_bytes()).table.find(name)
    assert deployment is not None
    return deployment.by_name[version].endpoints[0]


def program(runtime: str, name: str, *arguments: str) -> Any:
    """What one of our programs prints, run where the other system's client is installed."""
    command = [str(environments.python(runtime)), "-I", str(PROGRAMS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


def curl(port: int, path: str, *options: str | bytes, folder: Path) -> tuple[Answer, str | None]:
    """The answer, and the version that it names."""
    head = folder / "head"
    needed("curl", "apt-get install curl (Debian, Ubuntu)")
    command = ["curl", "-sS", "--path-as-is", "--max-time", "60", "-D", str(head), *options]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = head.read_text().strip().split("\n\n")[-1].splitlines()
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    answer = Answer(int(lines[0].split()[1]), fields["content-type"], done.stdout)
    return answer, fields.get("x-turnout-version")
