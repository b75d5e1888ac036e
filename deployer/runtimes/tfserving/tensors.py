"""JSON as TensorFlow Serving's REST API has it, to and from the tensors of its gRPC API. Pure, and without numpy: it is
for requests that a person types."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from deployer.errors import TurnoutError
from protos import tfs_pb2
from protos.tfs_pb2 import DataType, TensorProto

# By data type: the field that carries its values, and the form of one value in tensor_content.
_FIELDS: dict[DataType.ValueType, tuple[str, str]] = {
    tfs_pb2.DT_FLOAT: ("float_val", "f"),
    tfs_pb2.DT_DOUBLE: ("double_val", "d"),
    tfs_pb2.DT_INT32: ("int_val", "i"),
    tfs_pb2.DT_UINT8: ("int_val", "B"),
    tfs_pb2.DT_INT16: ("int_val", "h"),
    tfs_pb2.DT_INT8: ("int_val", "b"),
    tfs_pb2.DT_UINT16: ("int_val", "H"),
    tfs_pb2.DT_STRING: ("string_val", ""),
    tfs_pb2.DT_INT64: ("int64_val", "q"),
    tfs_pb2.DT_BOOL: ("bool_val", "?"),
    tfs_pb2.DT_UINT32: ("uint32_val", "I"),
    tfs_pb2.DT_UINT64: ("uint64_val", "Q"),
}


def columns(body: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The values of each input that a REST body holds, be it in rows (`instances`) or columns (`inputs`). `names` are
    the signature's inputs; a single one need not be named.

    Raises:
        TurnoutError: the body holds neither, or not these inputs.
    """
    if "inputs" in body:
        inputs = body["inputs"]
        return dict(inputs) if isinstance(inputs, dict) else _single(inputs, names)
    rows = body.get("instances")
    if not isinstance(rows, list) or not rows:
        raise TurnoutError('the data needs "instances", a list with one item a prediction, or "inputs"')
    if all(isinstance(row, dict) and row.keys() != {"b64"} for row in rows):
        if any(row.keys() != rows[0].keys() for row in rows):
            raise TurnoutError(f"each item of instances needs the same inputs; the model's are {', '.join(names)}")
        return {name: [row[name] for row in rows] for name in rows[0]}
    return _single(rows, names)


def tensor(value: Any, dtype: DataType.ValueType, name: str) -> TensorProto:
    """The tensor that holds `value`, nested lists of equal lengths.

    Raises:
        TurnoutError: the lists have different lengths, or a value is not of the type.
    """
    if dtype not in _FIELDS:
        raise TurnoutError(f"input {name} is of type {DataType.Name(dtype)}, which is for programs; use REST")
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    message = TensorProto(dtype=dtype)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    try:
        getattr(message, _FIELDS[dtype][0]).extend(_scalar(item) for item in flat(value, shape))
    except (TypeError, ValueError) as error:
        raise TurnoutError(f"input {name} can't be a tensor of type {DataType.Name(dtype)}: {error}") from None
    return message


def nested(message: TensorProto) -> Any:
    """The values of a tensor as nested lists; bytes that are no text as {"b64": …}.

    Raises:
        TurnoutError: its type is none that a person reads.
    """
    if message.dtype not in _FIELDS:
        raise TurnoutError(f"the answer is of type {DataType.Name(message.dtype)}, which is for programs; use REST")
    field, code = _FIELDS[message.dtype]
    shape = [dim.size for dim in message.tensor_shape.dim]
    values = list(getattr(message, field))
    if message.tensor_content and code:
        values = [value for (value,) in struct.iter_unpack(f"<{code}", message.tensor_content)]
    if values and len(values) < prod(shape):  # TensorFlow writes equal last values once
        values += values[-1:] * (prod(shape) - len(values))
    return _nest(iter([plain(value) for value in values]), shape)


def _single(value: Any, names: list[str]) -> dict[str, Any]:
    if len(names) != 1:
        raise TurnoutError(f"the model has several inputs, so name each: {', '.join(names)}")
    return {names[0]: value}


def flat(value: Any, shape: list[int]) -> Iterator[Any]:
    """The values of nested lists in order. Raises ValueError: they are not of that shape."""
    if not shape:
        if isinstance(value, list):
            raise ValueError("its lists are not nested alike")
        yield value
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise ValueError(f"its lists have different lengths: {shape[0]} values were expected in each at one depth")
    for item in value:
        yield from flat(item, shape[1:])


def _scalar(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return base64.b64decode(value["b64"], validate=True)
    return value.encode() if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """What JSON has for a value: text for bytes, or {"b64": …} where they are none."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _nest(values: Iterator[Any], shape: list[int]) -> Any:
    if not shape:
        return next(values)
    return [_nest(values, shape[1:]) for _ in range(shape[0])]
