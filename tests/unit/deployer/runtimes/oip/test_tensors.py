"""The Open Inference Protocol's JSON to its gRPC messages and back."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest
from google.protobuf import json_format

from deployer.errors import TurnoutError
from deployer.runtimes.oip.tensors import body, request, response
from protos.oip_pb2 import ModelInferResponse


@pytest.mark.parametrize(
    ("rows", "shape", "datatype", "values"),
    [
        ([[1, 2.5], [3, 4]], [2, 2], "FP64", [1, 2.5, 3, 4]),
        ([1, 2, 3], [3], "FP64", [1, 2, 3]),
        (["a", "b"], [2], "BYTES", ["a", "b"]),
        ([[True], [False]], [2, 1], "BOOL", [True, False]),
        ([], [0], "FP64", []),
    ],
)
def test_rows_alone(rows: list[Any], shape: list[int], datatype: str, values: list[Any]) -> None:
    assert body(rows) == {"inputs": [{"name": "input-0", "shape": shape, "datatype": datatype, "data": values}]}


def test_rows_of_different_lengths() -> None:
    with pytest.raises(TurnoutError, match="the data can't be a tensor: its lists have different lengths"):
        body([[1, 2], [3]])


@pytest.mark.parametrize(
    ("datatype", "field", "data"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 2]),
        ("INT32", "int_contents", [[-1], [2]]),
        ("INT64", "int64_contents", [2**62, 0]),
        ("UINT16", "uint_contents", [1, 2]),
        ("UINT64", "uint64_contents", [2**63, 0]),
        ("FP32", "fp32_contents", [0.5, 1]),
        ("FP64", "fp64_contents", [[0.1, 1]]),
        ("BYTES", "bytes_contents", ["ü", "b"]),
    ],
)
def test_values_come_back(datatype: str, field: str, data: list[Any]) -> None:
    message = request({"inputs": [{"name": "x", "datatype": datatype, "shape": [2, 1], "data": data}]})
    (tensor,) = message.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", datatype, [2, 1])
    assert [descriptor.name for descriptor, _ in tensor.contents.ListFields()] == [field]
    answer = ModelInferResponse(model_name="d", model_version="v1")
    answer.outputs.add(name="y", datatype=datatype, shape=[2], contents=tensor.contents)
    flat = [value for item in data for value in (item if isinstance(item, list) else [item])]
    assert response(answer) == {
        "model_name": "d",
        "model_version": "v1",
        "outputs": [{"name": "y", "shape": [2], "datatype": datatype, "data": flat}],
    }


@pytest.mark.parametrize(
    ("datatype", "raw", "values"),
    [
        ("BOOL", b"\1\0", [True, False]),
        ("INT8", b"\xff\2", [-1, 2]),
        ("UINT16", b"\1\0\0\1", [1, 256]),
        ("INT64", struct.pack("<2q", -1, 2**40), [-1, 2**40]),
        ("FP16", struct.pack("<2e", 0.5, -2), [0.5, -2]),
        ("FP32", struct.pack("<2f", 0.5, -2), [0.5, -2]),
        ("FP64", struct.pack("<2d", 0.1, -2), [0.1, -2]),
        ("BYTES", b"\1\0\0\0a\0\0\0\0", ["a", ""]),
    ],
)
def test_answers_that_come_raw(datatype: str, raw: bytes, values: list[Any]) -> None:
    answer = ModelInferResponse(raw_output_contents=[b"", raw])
    answer.outputs.add(name="none", datatype="FP32", shape=[0])
    answer.outputs.add(name="y", datatype=datatype, shape=[2])
    assert [output["data"] for output in response(answer)["outputs"]] == [[], values]


def test_a_raw_type_that_json_has_no_form_for() -> None:
    answer = ModelInferResponse(raw_output_contents=[b"\0\0"])
    answer.outputs.add(name="y", datatype="BF16", shape=[1])
    with pytest.raises(TurnoutError, match="the data type BF16 is for programs; known here: BYTES, BOOL"):
        response(answer)


def test_all_parts_of_a_request() -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [3], "parameters": {"content_type": "np"}}
    message = request(
        {
            "id": "7",
            "parameters": {"a": True, "b": 2, "c": 0.5},
            "inputs": [tensor],
            "outputs": [{"name": "y", "parameters": {"classification": 3}}],
        }
    )
    assert json_format.MessageToDict(message) == {
        "id": "7",
        "parameters": {"a": {"boolParam": True}, "b": {"int64Param": "2"}, "c": {"doubleParam": 0.5}},
        "inputs": [
            {
                "name": "x",
                "datatype": "INT64",
                "shape": ["1"],
                "parameters": {"content_type": {"stringParam": "np"}},
                "contents": {"int64Contents": ["3"]},
            }
        ],
        "outputs": [{"name": "y", "parameters": {"classification": {"int64Param": "3"}}}],
    }


def with_input(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], **changes}]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "the data needs inputs"),
        ({"inputs": [{"name": "x"}]}, "the data needs datatype"),
        ({"inputs": 5}, "no request of the Open Inference Protocol"),
        ({"inputs": ["x"]}, "no request of the Open Inference Protocol"),
        (with_input(data=["a"]), "no request of the Open Inference Protocol"),
        (with_input(parameters=5), "no request of the Open Inference Protocol"),
        (with_input(shape=[2]), "input x has 1 values, but the shape [2]"),
        (with_input(datatype="FP16"), "the data type FP16 is for programs; known here: BOOL, INT8"),
    ],
)
def test_bodies_that_are_no_request(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TurnoutError, match=re.escape(message)):
        request(wrong)
