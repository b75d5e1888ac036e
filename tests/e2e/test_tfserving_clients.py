"""Programs that only know TensorFlow Serving get from the gateway what the servers themselves answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes.client_programs import VERSIONS, curl, endpoint, program, served
from tests.fakes.turnout import Turnout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def turnout(tmp_path_factory: pytest.TempPathFactory, demo_models: Path) -> Iterator[Turnout]:
    versions = {
        version: {"model": str(demo_models / "models" / "digits" / version.removeprefix("v"))} for version in VERSIONS
    }
    with served(tmp_path_factory.mktemp("turnout"), "tfserving", "digits", versions) as running:
        yield running


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
    compressed = tmp_path / "compressed"
    compressed.write_bytes(gzip.compress(ROW.encode()))
    base = f"{prefix}/digits{pin}"
    asked: list[tuple[int, str, Sequence[str]]] = [
        (200, base, ()),
        (200, f"{base}/metadata", ()),
        *((status, f"{base}:{verb}", ("-d", body)) for verb, body, status in POSTS),
        (200, f"{base}:predict", ("-H", "Content-Encoding: gzip", "--data-binary", f"@{compressed}")),
    ]
    for status, path, options in asked:
        answer, version = curl(turnout.port, path, *options, folder=tmp_path)
        assert version in VERSIONS, (path, answer)
        assert PINS[pin.lower()] in (None, version)
        direct, _ = curl(endpoint(turnout, "digits", version or "").rest, path, *options, folder=tmp_path)
        assert answer == direct, (path, options)
        assert answer.status == status, (path, options, answer)
