from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import TurnoutError
from deployer.runtimes.tfserving.tensors import columns, nested, tensor
from protos import tfs_pb2
from protos.tfs_pb2 import DataType, TensorProto, TensorShapeProto


@pytest.mark.parametrize(
    ("body", "names", "expected"),
    [
        ({"instances": [[1, 2], [3, 4]]}, ["x"], {"x": [[1, 2], [3, 4]]}),
        ({"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}, ["a", "b"], {"a": [1, 3], "b": [2, 4]}),
        ({"instances": [{"b64": "eA=="}]}, ["x"], {"x": [{"b64": "eA=="}]}),
        ({"inputs": [[1]]}, ["x"], {"x": [[1]]}),
        ({"inputs": {"a": 1}}, ["a", "b"], {"a": 1}),
    ],
)
def test_columns(body: dict[str, Any], names: list[str], expected: dict[str, Any]) -> None:
    assert columns(body, names) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": [[1]]}, "several inputs, so name each: a, b"),
        ({"instances": [{"a": 1}, {"b": 1}]}, "same inputs"),
    ],
)
def test_bodies_that_say_too_little(body: dict[str, Any], message: str) -> None:
    with pytest.raises(TurnoutError, match=message):
        columns(body, ["a", "b"])


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tfs_pb2.DT_DOUBLE, [[0.1, 2.0], [3.0, -4.5]]),
        (tfs_pb2.DT_FLOAT, [0.5]),
        (tfs_pb2.DT_INT32, 7),
        (tfs_pb2.DT_UINT8, [[[255]]]),
        (tfs_pb2.DT_INT64, [2**62, -1]),
        (tfs_pb2.DT_UINT64, [2**64 - 1]),
        (tfs_pb2.DT_BOOL, [True, False]),
        (tfs_pb2.DT_STRING, ["a", "ü", {"b64": "/w=="}]),
        (tfs_pb2.DT_FLOAT, []),
    ],
)
def test_values_come_back(dtype: DataType.ValueType, value: Any) -> None:
    assert nested(tensor(value, dtype, "x")) == value


@given(st.lists(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=4))
def test_content_is_read_as_values_are(rows: list[list[float]]) -> None:
    by_values = tensor(rows, tfs_pb2.DT_DOUBLE, "x")
    content = b"".join(struct.pack("<3d", *row) for row in rows)
    by_content = TensorProto(dtype=tfs_pb2.DT_DOUBLE, tensor_shape=by_values.tensor_shape, tensor_content=content)
    assert nested(by_content) == rows == nested(by_values)


def test_equal_last_values_that_are_written_once() -> None:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=2), TensorShapeProto.Dim(size=2)])
    assert nested(TensorProto(dtype=tfs_pb2.DT_INT32, tensor_shape=shape, int_val=[1, 5])) == [[1, 5], [5, 5]]


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([[1], [1, 2]], tfs_pb2.DT_FLOAT, "different lengths"),
        ([1, [2]], tfs_pb2.DT_FLOAT, "not nested alike"),
        ([[1], 2], tfs_pb2.DT_FLOAT, "different lengths"),
        (["a"], tfs_pb2.DT_FLOAT, "DT_FLOAT"),
        ([2**40], tfs_pb2.DT_INT32, "DT_INT32"),
        ([1], tfs_pb2.DT_HALF, "use REST"),
    ],
)
def test_values_that_fit_no_tensor(value: Any, dtype: DataType.ValueType, message: str) -> None:
    with pytest.raises(TurnoutError, match=message):
        tensor(value, dtype, "x")


def test_a_type_that_is_for_programs_is_not_read() -> None:
    with pytest.raises(TurnoutError, match="the answer is of type DT_HALF, which is for programs; use REST"):
        nested(TensorProto(dtype=tfs_pb2.DT_HALF))
