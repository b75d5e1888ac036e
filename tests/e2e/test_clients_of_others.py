"""Programs that only know the other systems get the same answers through the gateway as from the servers themselves."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deployer.local import environments
from gateway import table
from gateway.table import Endpoint
from tests.support.turnout import Turnout

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"
VERSIONS = ("v1", "v2")


def document(name: str, runtime: str, *versions: dict[str, Any]) -> str:
    return json.dumps(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name},
            "spec": {
                "runtime": runtime,
                "versions": versions,
                "traffic": {"stable": "v1", "canary": "v2", "weight": 50},
            },
        }
    )


@pytest.fixture(scope="module")
def turnout(tmp_path_factory: pytest.TempPathFactory, demo_models: Path) -> Iterator[Turnout]:
    folder = tmp_path_factory.mktemp("turnout")
    digits = demo_models / "models" / "digits"
    documents = {
        "digits": document(
            "digits",
            "tfserving",
            *({"name": f"v{number}", "model": str(digits / str(number))} for number in (1, 2)),
        ),
        "echo": document(
            "echo",
            "seldon",
            *(
                {"name": f"v{number}", "model": str(PROGRAMS / "Echo.py"), "env": {"FACTOR": str(number)}}
                for number in (1, 2)
            ),
        ),
    }
    for name, text in documents.items():
        (folder / f"{name}.yaml").write_text(text)
    with Turnout(folder) as running:
        up = running.up(*(str(folder / f"{name}.yaml") for name in documents))
        for name in documents:
            running.settled(name, seconds=240)
        yield running
        running.stop(up)


def endpoint(turnout: Turnout, name: str, version: str) -> Endpoint:
    """Of the version's own server."""
    deployment = table.read((turnout.state.root / "routes.json").read_bytes()).find(name)
    assert deployment is not None
    return deployment.by_name[version].endpoints[0]


def program(runtime: str, name: str, *arguments: str) -> Any:
    """What one of our programs prints, run where the other system's client is installed."""
    command = [str(environments.python(runtime)), "-I", str(PROGRAMS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tensorflow_serving_api(turnout: Turnout) -> None:
    pins = {"v1": ({"version": "1"}, {"versionLabel": "stable"}), "v2": ({"version": "2"}, {"versionLabel": "canary"})}
    specs = json.dumps([{}] * 4 + [spec for both in pins.values() for spec in both])
    wanted = {
        version: program(
            "tfserving",
            "tfserving_calls.py",
            f"127.0.0.1:{endpoint(turnout, 'digits', version).grpc}",
            "digits",
            json.dumps([{}, *pins[version]]),
        )
        for version in VERSIONS
    }
    got = program("tfserving", "tfserving_calls.py", f"127.0.0.1:{turnout.port}", "digits", specs)
    assert len(got) == 8 * 11
    direct = {
        version: {call.split(" #")[0]: answer for call, (_, answer) in answers.items()}
        for version, answers in wanted.items()
    }
    for call, (version, answer) in got.items():
        assert answer == direct[version][call.split(" #")[0]], call
    for version, both in pins.items():
        for spec in both:
            assert {by for case, (by, _) in got.items() if json.dumps(spec) in case} == {version}
    assert {by for case, (by, _) in got.items() if "{}" in case} == set(VERSIONS), "the split, too"


def test_seldon_client(turnout: Turnout) -> None:
    gateway = f"127.0.0.1:{turnout.port}"
    servers = {version: endpoint(turnout, "echo", version) for version in VERSIONS}
    ways: list[tuple[str, str, str, dict[str, str] | None]] = []
    for version, at in servers.items():
        ways += [("seldon", "rest", f"127.0.0.1:{at.rest}", None), ("seldon", "grpc", f"127.0.0.1:{at.grpc}", None)]
        for kind in ("ambassador", "istio"):
            for transport in ("rest", "grpc"):
                ways += [(kind, transport, gateway, pin) for pin in ({"x-turnout-version": version}, None)]
    ways += [("seldon", transport, gateway, None) for transport in ("rest", "grpc")]
    got = program("seldon", "seldon_calls.py", "echo", json.dumps(ways))

    direct = {
        (transport, version): got[ways.index(("seldon", transport, f"127.0.0.1:{port}", None))]
        for version, at in servers.items()
        for transport, port in (("rest", at.rest), ("grpc", at.grpc))
    }
    for answers in direct.values():
        assert {case for case, (success, _, _) in answers.items() if not success} == {"predict wrong"}
    for (kind, transport, address, pin), answers in zip(ways, got, strict=True):
        if address != gateway:
            continue
        if kind == "seldon":
            for success, said, answer in answers.values():
                assert not success
                assert "400" in said or "names no deployment" in said, (said, answer)
            continue
        for case, answer in answers.items():
            # The client does not send the pin with feedback.
            by = VERSIONS if pin is None or case.startswith("feedback") else (pin["x-turnout-version"],)
            assert answer in [direct[transport, version][case] for version in by], (kind, transport, case)


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


def curl(port: int, path: str, *options: str | bytes, folder: Path) -> tuple[Answer, str | None]:
    """The answer, and the version that it names."""
    head = folder / "head"
    command = ["curl", "-sS", "--path-as-is", "--max-time", "60", "-D", str(head), *options]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = head.read_text().strip().split("\n\n")[-1].splitlines()
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    answer = Answer(int(lines[0].split()[1]), fields["content-type"], done.stdout)
    return answer, fields.get("x-turnout-version")


IMAGE = [((7 * at) % 17) / 16 for at in range(64)]
ROW = json.dumps({"instances": [IMAGE, IMAGE[::-1]]})
COLUMN = json.dumps({"signature_name": "serving_default", "inputs": {"images": [IMAGE]}})
CLASSIFY = json.dumps({"signature_name": "classify", "examples": [{"image": IMAGE}]})
REGRESS = json.dumps({"signature_name": "regress", "context": {"image": IMAGE}, "examples": [{}, {}]})

PINS = {
    "": None,
    "/versions/1": "v1",
    "/versions/2": "v2",
    "/labels/stable": "v1",
    "/labels/canary": "v2",
}
POSTS = [
    ("predict", ROW, 200),
    ("predict", COLUMN, 200),
    ("predict", '{"instances": [[1]]}', 400),
    ("predict", '{"instances": "', 400),
    ("predict", "{}", 400),
    ("classify", CLASSIFY, 200),
    ("classify", '{"signature_name": "none", "examples": []}', 400),
    ("regress", REGRESS, 200),
    ("regress", ROW, 400),
]


@pytest.mark.parametrize(("prefix", "pin"), [("/v1/models", pin) for pin in PINS] + [("/V1/Models", "/Versions/2")])
def test_curl_to_tensorflow_serving(turnout: Turnout, tmp_path: Path, prefix: str, pin: str) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(ROW.encode()))
    base = f"{prefix}/digits{pin}"
    asked: list[tuple[int, str, Sequence[str]]] = [
        (200, base, ()),
        (200, f"{base}/metadata", ()),
        *((status, f"{base}:{verb}", ("-d", body)) for verb, body, status in POSTS),
        (200, f"{base}:predict", ("-H", "Content-Encoding: gzip", "--data-binary", f"@{packed}")),
    ]
    for status, path, options in asked:
        answer, version = curl(turnout.port, path, *options, folder=tmp_path)
        assert version in VERSIONS, (path, answer)
        assert PINS[pin.lower()] in (None, version)
        direct, _ = curl(endpoint(turnout, "digits", version or "").rest, path, *options, folder=tmp_path)
        assert answer == direct, (path, options)
        assert answer.status == status, (path, options, answer)


PREDICTIONS = {
    '{"data": {"ndarray": [[1, 2]]}}': 200,
    '{"data": {"names": ["a", "b"], "tensor": {"shape": [1, 2], "values": [1, 2]}}}': 200,
    '{"strData": "text"}': 200,
    '{"binData": "AQID"}': 200,
    '{"jsonData": {"a": 1}}': 200,
    '{"strData": "raise"}': 422,
    "{": 400,
    "[]": 400,
}
FEEDBACK = {'{"request": {"data": {"ndarray": [[1, 2]]}}, "reward": 0.25}': 200, '{"reward": "much"}': 400}
SELDON_PATHS: dict[str, dict[str, int]] = {
    "/api/v1.0/predictions": PREDICTIONS,
    "/api/v1.0/feedback": FEEDBACK,
    "/api/v0.1/predictions": PREDICTIONS,
    "/api/v0.1/feedback": FEEDBACK,
    "/api/v1.0/metadata": {"": 200},
    "/api/v1.0/health/status": {"": 200},
    "/api/v1.0/status": {"": 500},  # the microservice has none
}


@pytest.mark.parametrize("prefix", ["/seldon/default/echo", "/seldon/echo"])
@pytest.mark.parametrize("pin", ["v1", "v2", None])
def test_curl_to_seldon(turnout: Turnout, tmp_path: Path, prefix: str, pin: str | None) -> None:
    pinned = () if pin is None else ("-H", f"x-turnout-version: {pin}")
    for path, bodies in SELDON_PATHS.items():
        for body, status in bodies.items():
            options = ("-H", "Content-Type: application/json", "-d", body) if body else ()
            answer, version = curl(turnout.port, prefix + path, *options, *pinned, folder=tmp_path)
            assert version in VERSIONS, (path, answer)
            assert pin in (None, version)
            direct, _ = curl(endpoint(turnout, "echo", version or "").rest, path, *options, folder=tmp_path)
            assert answer == direct, (path, body)
            assert answer.status == status, (path, body, answer)
