"""JSON as the Open Inference Protocol's REST API has it, to and from the messages of its gRPC API. Pure, and for
requests that a person types."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from deployer.errors import TurnoutError
from deployer.runtimes.tfserving.tensors import flat, plain
from protos.oip_pb2 import InferParameter, ModelInferRequest, ModelInferResponse

# By data type: the list that carries its values. FP16 and BF16 have none; they come raw alone.
_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

# By data type: the form of one value where values come raw, little-endian.
_RAW = {
    **{"BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"},
    **{"UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"},
}


def body(rows: list[Any]) -> dict[str, Any]:
    """The REST body that asks for one prediction a row, with all rows in one tensor: texts as BYTES, truth values as
    BOOL, numbers as FP64.

    Raises:
        TurnoutError: the rows have different lengths.
    """
    shape: list[int] = []
    inner: Any = rows
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    try:
        values = list(flat(rows, shape))
    except ValueError as error:
        raise TurnoutError(f"the data can't be a tensor: {error}") from None
    kind = "BYTES" if isinstance(inner, str) else "BOOL" if isinstance(inner, bool) else "FP64"
    return {"inputs": [{"name": "input-0", "shape": shape, "datatype": kind, "data": values}]}


def request(body: Mapping[str, Any]) -> ModelInferRequest:
    """The message that says what the REST body does.

    Raises:
        TurnoutError: the body is none of the protocol's, or of a data type that JSON can't carry.
    """
    message = ModelInferRequest()
    try:
        message.id = body.get("id", "")
        _set(message.parameters, body)
        for tensor_json in body["inputs"]:
            tensor = message.inputs.add(
                name=tensor_json["name"], datatype=tensor_json["datatype"], shape=tensor_json["shape"]
            )
            _set(tensor.parameters, tensor_json)
            values = [value.encode() if isinstance(value, str) else value for value in _leaves(tensor_json["data"])]
            if len(values) != prod(tensor.shape):
                raise TurnoutError(
                    f"input {tensor.name} has {len(values)} values, but the shape {tensor_json['shape']}"
                )
            getattr(tensor.contents, _field(tensor.datatype)).extend(values)
        for tensor_json in body.get("outputs", ()):
            _set(message.outputs.add(name=tensor_json["name"]).parameters, tensor_json)
    except KeyError as error:
        raise TurnoutError(f"the data needs {error.args[0]}, as the Open Inference Protocol has it") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise TurnoutError(f"the data is no request of the Open Inference Protocol: {error}") from None
    return message


def response(message: ModelInferResponse) -> dict[str, Any]:
    """The REST body that says what the message does.

    Raises:
        TurnoutError: an output is of a data type that JSON can't carry.
    """
    raw = message.raw_output_contents
    outputs = [
        {
            "name": output.name,
            "shape": list(output.shape),
            "datatype": output.datatype,
            "data": [
                plain(value)
                for value in (
                    _unpacked(raw[index], output.datatype) if raw else getattr(output.contents, _field(output.datatype))
                )
            ],
        }
        for index, output in enumerate(message.outputs)
    ]
    return {"model_name": message.model_name, "model_version": message.model_version, "outputs": outputs}


def _unpacked(raw: bytes, datatype: str) -> Iterator[Any]:
    if datatype == "BYTES":  # each with its length before it
        at = 0
        while at < len(raw):
            (size,) = struct.unpack_from("<I", raw, at)
            yield raw[at + 4 : at + 4 + size]
            at += 4 + size
        return
    if datatype not in _RAW:
        raise TurnoutError(f"the data type {datatype} is for programs; known here: BYTES, {', '.join(_RAW)}")
    yield from (value for (value,) in struct.iter_unpack(f"<{_RAW[datatype]}", raw))


def _field(datatype: str) -> str:
    if datatype not in _FIELDS:
        raise TurnoutError(f"the data type {datatype} is for programs; known here: {', '.join(_FIELDS)}")
    return _FIELDS[datatype]


def _set(parameters: Any, part: Mapping[str, Any]) -> None:
    for name, value in part.get("parameters", {}).items():
        kind = {bool: "bool_param", int: "int64_param", float: "double_param"}.get(type(value), "string_param")
        parameters[name].CopyFrom(InferParameter(**{kind: value}))


def _leaves(data: Any) -> Iterator[Any]:
    """The values of nested lists, or of a flat one, in order."""
    if isinstance(data, list):
        for item in data:
            yield from _leaves(item)
    else:
        yield data
