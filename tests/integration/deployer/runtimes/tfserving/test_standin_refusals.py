"""What the stand-in refuses, and with which words of TensorFlow Serving's, over both APIs."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest

from protos import methods, tfs_pb2
from tests.fakes.model_server import ModelServer, predict

pytestmark = pytest.mark.slow
ZERO = [0.0] * 64
IMAGE = {"image": [0.5] * 64}
DIGITS = "/v1/models/digits"
PREDICT = f"{DIGITS}:predict"
ECHO = "/v1/models/echo:predict"
CLASSIFY = f"{DIGITS}:classify"
ROW = {"instances": [1]}
MISSING = "Servable not found for request: "
ELEMENT = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "


def named(signature: str, **body: Any) -> dict[str, Any]:
    return {"signature_name": signature, **body}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
        (PREDICT, b'{"instances": [', 400, "JSON Parse error: .* at offset: 15"),
        (PREDICT, b"[" * 100_000, 400, "JSON Parse error: .*"),
        (PREDICT, b'{"instances": [' + b"1" * 5000 + b"]}", 400, "JSON Parse error: .*"),
        (PREDICT, [1], 400, r"JSON Value: \[1\] Is not object"),
        (PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
        (PREDICT, {"instances": []}, 400, ".*No values in 'instances' array"),
        (PREDICT, {"instances": 1}, 400, ".*Expecting 'instances' to be an list/array"),
        (PREDICT, {"instances": [1], "inputs": [1]}, 400, ".*expecting only one of .* keys to exist "),
        (PREDICT, named(1, **ROW), 400, ".*key must be a string value."),  # type: ignore[arg-type]
        (PREDICT, named("x", **ROW), 400, 'Serving signature name: "x" not found in signature def'),
        (
            PREDICT,
            {"instances": [[1, "a"]]},
            400,
            f'{ELEMENT}JSON Value: "a" Type: String is not of expected type: float',
        ),
        (PREDICT, {"instances": [[1, True]]}, 400, ".*JSON Value: true Type: True is not of expected type: float"),
        (PREDICT, {"instances": [[1], [1, 2]]}, 400, ".*Expecting tensor size: 1 but got: 2"),
        (PREDICT, {"instances": [[[1, 2]], [[1], [2]]]}, 400, r".*shape \[1,2\] but got: \[2,1\]"),
        (PREDICT, {"instances": [[1, [2]]]}, 400, f"{ELEMENT}Encountered list at unexpected level: 1 expected < 1"),
        (PREDICT, {"instances": [[[1], 2]]}, 400, ".*found at incorrect level: 2 in the JSON DOM.*"),
        (PREDICT, {"instances": [[[1], [2, 3]]]}, 400, ".*unexpected size: 2 at level: 1 expected size: 1"),
        (PREDICT, {"instances": [{"x": 1}]}, 400, ".*key: x .*does not have named input: x"),
        (PREDICT, {"instances": [{}]}, 400, ".*keys must be equal to: images"),
        (PREDICT, {"instances": [ZERO, {"images": ZERO}]}, 400, "Expecting value/list but got object at item 1.*"),
        (PREDICT, {"instances": [{"images": ZERO}, ZERO]}, 400, "Expecting object but got list at item 1.*"),
        (PREDICT, {"instances": [[1, 2]]}, 400, r".*\b2\b.*"),
        (PREDICT, {"inputs": {"x": [1]}}, 400, "Missing named input: images in 'inputs' object."),
        (ECHO, {"inputs": [1]}, 400, "inputs is a plain value/list, .*"),
        (ECHO, ROW, 400, "instances is a plain list, .*"),
        (ECHO, named("half", **ROW), 400, ".*UNIMPLEMENTED: Conversion of JSON Value: 1 to type: half"),
        (ECHO, named("half", inputs=[1]), 501, "Conversion of JSON Value: 1 to type: half"),
        (ECHO, named("text", inputs=[{"b64": "*"}]), 400, "Unable to base64 decode"),
        (ECHO, named("text", inputs=[{"b": "", "c": ""}]), 400, ".*for base64 data"),
        (ECHO, named("total", **ROW), 400, "Tensor name: total has no shape information "),
        (ECHO, named("uneven", instances=[1, 2]), 400, ".*has inconsistent batch size: 1 expecting: 2"),
        ("/v1/models/nope:predict", ROW, 404, rf"{MISSING}Latest\(nope\)"),
        ("/v1/models/broken:predict", ROW, 404, rf"{MISSING}Latest\(broken\)"),
        (f"{DIGITS}/versions/3:predict", ROW, 404, rf"{MISSING}Specific\(digits, 3\)"),
        (f"{DIGITS}/labels/x:predict", ROW, 400, "Unrecognized servable version label: x"),
        ("/v1/models/broken/labels/stable:predict", ROW, 400, "Unrecognized servable version label: stable"),
        (f"{DIGITS}/versions/{10**30}:predict", ROW, 400, "Failed to convert version: 10* to numeric."),
        (f"{DIGITS}:PREDICT", ROW, 400, "Malformed request: POST /v1/models/digits:PREDICT"),
        (f"{DIGITS}:explain", ROW, 400, "Malformed request: POST /v1/models/digits:explain"),
        (CLASSIFY, {}, 400, ".*key 'examples' is expected and was not found"),
        (CLASSIFY, {"examples": 1}, 400, ".*Expecting 'examples' value to be an list/array"),
        (CLASSIFY, {"examples": []}, 400, ".*'examples' value is an empty array"),
        (CLASSIFY, {"examples": [1]}, 400, "Example must be JSON object but got JSON Number"),
        (CLASSIFY, {"examples": [{"a": None}]}, 400, "Feature: a has element with unexpected JSON type: Null"),
        (CLASSIFY, {"examples": [{"a": [1, "b"]}]}, 400, "Unexpected element type in feature: a expecting type: int64"),
        (CLASSIFY, {"examples": [{"a": 2**63}]}, 400, "Feature: a has uint64_t element.*"),
        (CLASSIFY, {"examples": [IMAGE]}, 400, "Expected one or two output Tensors.*|No classification inputs found.*"),
        (CLASSIFY, named("x", examples=[IMAGE]), 400, "No signature was found with the name: x"),
        (f"{DIGITS}:regress", named("classify", examples=[IMAGE]), 400, "Expected one output Tensor.*"),
    ],
)
def test_refused_predictions(standin: ModelServer, path: str, body: Any, status: int, text: str) -> None:
    answered, answer = standin.ask("POST", path, body)
    assert answered == status, answer
    assert list(answer) == ["error"]
    assert re.fullmatch(text, answer["error"], re.DOTALL), answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", PREDICT, 400, "Malformed request: GET /v1/models/digits:predict"),
        ("PUT", DIGITS, 400, "Malformed request: PUT /v1/models/digits"),
        ("GET", "/v1/other", 400, "Malformed request: GET /v1/other"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/absent", 404, "Could not find any versions of model absent"),
        ("GET", f"{DIGITS}/versions/3", 404, "Could not find version 3 of model digits"),
        ("GET", f"{DIGITS}/versions/3/metadata", 404, f"{MISSING}Specific(digits, 3)"),
        ("GET", f"{DIGITS}/labels/x/metadata", 400, "Unrecognized servable version label: x"),
    ],
)
def test_refused_questions(standin: ModelServer, method: str, path: str, status: int, text: str) -> None:
    assert standin.ask(method, path) == (status, {"error": text})


def spec(name: str, **choice: Any) -> tfs_pb2.PredictRequest:
    request = predict(name, images=[ZERO])
    if "version" in choice:
        request.model_spec.version.value = choice["version"]
    if "label" in choice:
        request.model_spec.version_label = choice["label"]
    request.model_spec.signature_name = choice.get("signature", "")
    request.output_filter.extend(choice.get("only", ()))
    return request


def cut_short() -> tfs_pb2.PredictRequest:
    request = predict("digits", images=[ZERO])
    request.inputs["images"].float_val.append(0)
    return request


def of_type(dtype: tfs_pb2.DataType.ValueType) -> tfs_pb2.PredictRequest:
    request = predict("digits")
    request.inputs["images"].CopyFrom(tfs_pb2.TensorProto(dtype=dtype, int64_val=[1], double_val=[1]))
    return request


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (tfs_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (spec(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (spec("nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (spec("digits", version=3), "NOT_FOUND", "Servable not found for request: Specific(digits, 3)"),
        (spec("digits", label="x"), "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        (spec("digits", signature="x"), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (
            predict("digits"),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({images}). Sent extra: {}. "
            "Missing but required: {images}.",
        ),
        (cut_short(), "INVALID_ARGUMENT", "tensor parsing error: images"),
        (of_type(tfs_pb2.DT_DOUBLE), "INVALID_ARGUMENT", "Expects arg[0] to be float but double is provided"),
        (of_type(tfs_pb2.DT_INT64), "INVALID_ARGUMENT", "Expects arg[0] to be float but int64 is provided"),
        (
            spec("digits", only=["x"]),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: x Outputs expected to be in the set {classes,scores}.",
        ),
        (spec("digits", only=["scores"] * 2), "INVALID_ARGUMENT", "duplicate output tensor alias: scores"),
    ],
)
def test_refusals_over_grpc(standin: ModelServer, request_: tfs_pb2.PredictRequest, code: str, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        standin.call(methods.PREDICT, request_)
    error: Any = caught.value
    assert (error.code().name, error.details()) == (code, text)


def test_an_output_filter_leaves_out_the_others(standin: ModelServer) -> None:
    answer = standin.call(methods.PREDICT, spec("digits", only=["classes"]))
    assert set(answer.outputs) == {"classes"}


def test_the_text_of_an_error_is_cut(standin: ModelServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        standin.call(methods.PREDICT, spec("n" * 3000))
    error: Any = caught.value
    assert len(error.details()) == 1024 + len("...TRUNCATED")
