"""The stand-in for TensorFlow Serving, as a real process on real SavedModels, over both of its APIs."""

from __future__ import annotations

import gzip
import http.client
import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.local import environments
from protos import methods, tfs_pb2
from tests.fakes.model_server import ModelServer, predict, wait_until

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent
ZERO = [0.0] * 64
IMAGE = {"image": [0.5] * 64}


def test_rows_and_columns_and_grpc_agree(standin: ModelServer, demo_models: Path) -> None:
    with np.load(demo_models / "digits.npz") as data:
        images, labels = data["unseen_images"][:50], data["unseen_labels"][:50]
    rows = standin.ask("POST", "/v1/models/digits/versions/2:predict", {"instances": images.tolist()})
    columns = standin.ask("POST", "/v1/models/digits/labels/canary:predict", {"inputs": {"images": images.tolist()}})
    assert (rows[0], columns[0]) == (200, 200)
    request = predict("digits", images=images)
    request.model_spec.version_label = "canary"
    answer = standin.call(methods.PREDICT, request)
    scores = np.array(answer.outputs["scores"].float_val, np.float32).reshape(50, 10)
    assert np.mean(np.array(answer.outputs["classes"].int64_val) == labels) > 0.9
    np.testing.assert_array_equal(scores, np.array(columns[1]["outputs"]["scores"], np.float32))
    np.testing.assert_array_equal(scores, np.array([row["scores"] for row in rows[1]["predictions"]], np.float32))
    assert columns[1]["outputs"]["classes"] == [row["classes"] for row in rows[1]["predictions"]]
    assert answer.model_spec.version.value == 2
    assert (answer.model_spec.name, answer.model_spec.signature_name) == ("digits", "serving_default")
    assert not answer.outputs["scores"].tensor_content
    plain = standin.ask("POST", "/v1/models/digits/labels/stable:predict", {"instances": images.tolist()})
    assert plain[1] != rows[1]


def test_every_type_goes_there_and_back(standin: ModelServer) -> None:
    values: dict[str, list[list[Any]]] = {
        "f": [[0.2, 1e-30]],
        "d": [[0.1, 1e300]],
        "i": [[-(2**31), 2**31 - 1]],
        "l": [[-(2**63), 2**63 - 1]],
        "i8": [[-128, 127]],
        "i16": [[-(2**15), 2**15 - 1]],
        "u8": [[0, 255]],
        "u32": [[0, 2**32 - 1]],
        "u64": [[0, 2**64 - 1]],
        "b": [[True, False]],
        "s": [["é", {"b64": "/wA="}]],
    }
    raw = json.dumps({"inputs": values}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", standin.rest)
    connection.request("POST", "/v1/models/echo:predict", raw)
    body = connection.getresponse().read()
    connection.close()
    outputs = json.loads(body.decode("utf-8", "surrogateescape"))["outputs"]
    # Strings are written as they are, even where they are no UTF-8; the name tells bytes that are to be encoded.
    assert outputs == {**values, "s": [["é", "\udcff\0"]], "s_bytes": [[{"b64": "w6k="}, {"b64": "/wA="}]]}
    row = {alias: value[0] for alias, value in values.items()}
    status, answer = standin.ask("POST", "/v1/models/echo:predict", {"instances": [{**row, "s": ["a", "b"]}] * 2})
    assert status == 200
    assert answer["predictions"] == [{**row, "s": ["a", "b"], "s_bytes": [{"b64": "YQ=="}, {"b64": "Yg=="}]}] * 2


def test_numbers_that_json_has_no_word_for(standin: ModelServer) -> None:
    status, answer = standin.ask("POST", "/v1/models/first:predict", b'{"instances": [NaN, Infinity, -Infinity, 1]}')
    assert status == 200
    assert math.isnan(answer["predictions"][0])
    assert answer["predictions"][1:] == [math.inf, -math.inf, 2.0]


def test_one_output_drops_its_name(standin: ModelServer) -> None:
    assert standin.ask("POST", "/v1/models/first:predict", {"instances": [1]}) == (200, {"predictions": [2.0]})
    assert standin.ask("POST", "/v1/models/first:predict", {"instances": [{"x": 1}]}) == (200, {"predictions": [2.0]})
    assert standin.ask("POST", "/v1/models/first:predict", {"inputs": [1]}) == (200, {"outputs": [2.0]})
    named = {"signature_name": "text", "instances": [{"b64": "YQ=="}, "b"]}
    assert standin.ask("POST", "/v1/models/echo:predict", named) == (200, {"predictions": ["a", "b"]})
    total = {"signature_name": "total", "inputs": [1, 2]}
    assert standin.ask("POST", "/v1/models/echo:predict", total) == (200, {"outputs": 3.0})


@pytest.mark.parametrize(
    ("model", "versions"),
    [("newest", ["10"]), ("newest-two", ["10", "2"]), ("first", ["1"]), ("digits", ["2", "1"])],
)
def test_policies(standin: ModelServer, model: str, versions: list[str]) -> None:
    status, answer = standin.ask("GET", f"/v1/models/{model}")
    assert status == 200
    assert answer["model_version_status"] == [
        {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        for version in versions
    ]
    assert standin.ask("GET", f"/v1/models/{model}/versions/{versions[0]}")[1]["model_version_status"] == [
        answer["model_version_status"][0]
    ]


def test_a_label_shows_the_status_of_all_versions(standin: ModelServer) -> None:
    assert standin.ask("GET", "/v1/models/digits/labels/canary") == standin.ask("GET", "/v1/models/digits")


def test_a_new_version_takes_over_and_a_removed_one_ends(standin: ModelServer, saved_models: Path) -> None:
    growing = standin.log_file.parent / "growing"
    shutil.copytree(saved_models / "add" / "2", growing / ".2")
    os.rename(growing / ".2", growing / "2")
    ask = {"instances": [1]}
    wait_until(lambda: standin.ask("POST", "/v1/models/growing:predict", ask) == (200, {"predictions": [3.0]}))
    wait_until(lambda: standin.ask("GET", "/v1/models/growing/versions/1")[0] == 404)


def test_metadata_is_told_alike_by_both(standin: ModelServer) -> None:
    status, answer = standin.ask("GET", "/v1/models/digits/versions/1/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "digits", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["images"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in signatures["serving_default"]["inputs"]["images"]["tensor_shape"]["dim"]] == [
        "-1",
        "64",
    ]
    request = tfs_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "digits"
    response = standin.call(methods.GET_MODEL_METADATA, request)
    metadata = tfs_pb2.SignatureDefMap.FromString(response.metadata["signature_def"].value)
    assert set(metadata.signature_def) == set(signatures)
    assert response.model_spec.version.value == 2
    assert response.metadata["signature_def"].type_url.endswith("/tensorflow.serving.SignatureDefMap")


def test_classify_and_regress(standin: ModelServer) -> None:
    status, classes = standin.ask(
        "POST",
        "/v1/models/digits:classify",
        {"signature_name": "classify", "context": {"other": 1}, "examples": [IMAGE] * 2},
    )
    assert status == 200
    first, second = classes["results"]
    assert first == second
    assert [label for label, _ in first] == [str(digit) for digit in range(10)]
    assert sum(score for _, score in first) == pytest.approx(1, abs=1e-5)
    status, values = standin.ask(
        "POST", "/v1/models/digits:regress", {"signature_name": "regress", "examples": [IMAGE, {"image": {"b64": ""}}]}
    )
    assert (status, "image" in values["error"]) == (400, True)
    status, values = standin.ask(
        "POST", "/v1/models/digits:regress", {"signature_name": "regress", "examples": [IMAGE]}
    )
    assert status == 200
    mean = sum(int(label) * score for label, score in first)
    assert values["results"] == [pytest.approx(mean, rel=1e-4)]


def test_the_path_may_be_in_any_case_and_percent_encoded(standin: ModelServer) -> None:
    assert standin.ask("GET", "/V1/Models/digits") == standin.ask("GET", "/v1/models/d%69gits")
    assert standin.ask("GET", "/V1/MODELS/DIGITS")[0] == 404
    assert standin.ask("GET", "/elsewhere") == (404, "Not Found")


def test_bodies_may_be_compressed(standin: ModelServer) -> None:
    path, body = "/v1/models/first:predict", gzip.compress(b'{"instances": [1]}')
    gzipped = {"content-encoding": "gzip"}
    assert standin.ask("POST", path, body, gzipped) == (200, {"predictions": [2.0]})
    for sent, headers in ((body[:-9], gzipped), (b"plain", gzipped), (body, {"content-encoding": "br"})):
        status, answer = standin.ask("POST", path, sent, headers)
        assert (status, list(answer)) == (400, ["error"])


def test_a_connection_serves_many_requests(standin: ModelServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", standin.rest)
    connection.connect()
    socket = connection.sock
    for method, path in (("GET", "/v1/models/digits"), ("GET", "/v1/models/nope"), ("GET", "/elsewhere")) * 2:
        connection.request(method, path)
        connection.getresponse().read()
        assert connection.sock is socket
    connection.close()


def test_the_systems_own_client_is_understood(standin: ModelServer) -> None:
    """A `tensorflow-serving-api` client, with TensorFlow's own tensors, in an environment of its own."""
    python = environments.python("tfserving")
    client = subprocess.run(
        [python, "-I", HERE.parents[3] / "fakes" / "programs" / "tfserving_client.py", f"127.0.0.1:{standin.grpc}"],
        capture_output=True,
        text=True,
    )
    assert client.returncode == 0, client.stderr
    answers = json.loads(client.stdout)
    body = {"instances": [ZERO]}
    assert (
        answers["predict"]
        == standin.ask("POST", "/v1/models/digits/versions/1:predict", body)[1]["predictions"][0]["classes"]
    )
    request = {"signature_name": "classify", "examples": [IMAGE]}
    labels = standin.ask("POST", "/v1/models/digits:classify", request)[1]["results"][0]
    assert answers["classify"] == max(labels, key=lambda label: label[1])[0]
    request["signature_name"] = "regress"
    assert answers["regress"] == pytest.approx(
        standin.ask("POST", "/v1/models/digits:regress", request)[1]["results"][0]
    )
    assert answers["infer"] == [answers["classify"], answers["regress"]]
    assert answers["status"] == [[2, "AVAILABLE", 0], [1, "AVAILABLE", 0]]
    assert "serving_default" in answers["metadata"]
    assert answers["reload"] == "UNIMPLEMENTED"
