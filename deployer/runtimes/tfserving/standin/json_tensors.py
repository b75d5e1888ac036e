"""TensorFlow Serving's JSON: requests to arrays, arrays to answers, in row form (`instances`) and in column form
(`inputs`)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from numpy.typing import NDArray

from .errors import ServingError, invalid
from .servable import Arrays
from .tensors import type_name

_INTEGERS = {"int64", "int32", "int16", "int8", "uint8", "uint32", "uint64"}
_FLOATS = {"float", "double"}
_TYPE_NAMES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
_MOST_SHOWN = 256
"""Characters of a JSON value that stand in an error."""


def parse(body: bytes) -> dict[str, Any]:
    """The object that `body` holds. What follows it is not looked at, and strings need not be UTF-8."""
    text = body.decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
    if not text:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except (RecursionError, ValueError) as error:  # nested too deep; a number with too many digits
        raise invalid(f"JSON Parse error: {error} at offset: 0") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def inputs(document: Mapping[str, Any], infos: Mapping[str, Any]) -> tuple[Arrays, bool]:
    """The arrays of a request by a signature's inputs (alias -> TensorInfo), and whether it is in row form."""
    if "instances" in document:
        if "inputs" in document:
            raise _shaped(
                document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            )
        instances = document["instances"]
        if not isinstance(instances, list):
            raise _shaped(document, "Expecting 'instances' to be an list/array")
        if not instances:
            raise _shaped(document, "No values in 'instances' array")
        return _rows(instances, infos), True
    if "inputs" in document:
        return _columns(document["inputs"], infos), False
    raise invalid("Missing 'inputs' or 'instances' key")


def _columns(value: Any, infos: Mapping[str, Any]) -> Arrays:
    if not isinstance(value, dict) or is_base64(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        value = {alias: value for alias in infos}
    for alias in infos:
        if alias not in value:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: _array(value[alias], info.dtype) for alias, info in infos.items()}


def _rows(instances: list[Any], infos: Mapping[str, Any]) -> Arrays:
    named = isinstance(instances[0], dict) and not is_base64(instances[0])
    if not named and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns: dict[str, list[NDArray[Any]]] = {alias: [] for alias in infos}
    for index, instance in enumerate(instances):
        place = f"Failed to process element: {index}"
        if named != (isinstance(instance, dict) and not is_base64(instance)):
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {index} of input list")
        row = instance if named else {alias: instance for alias in infos}
        for alias, value in row.items():
            try:
                _add(columns, alias, value, infos)
            except ServingError as error:
                key = f" key: {alias}" if named else ""
                raise invalid(f"{place}{key} of 'instances' list. Error: {error}") from None
        if set(row) != set(infos):
            names = ",".join(sorted(infos))
            raise invalid(f"{place} of 'instances' list. JSON object: {show(row)} keys must be equal to: {names}")
    return {alias: np.stack(arrays) for alias, arrays in columns.items()}


def _add(columns: dict[str, list[NDArray[Any]]], alias: str, value: Any, infos: Mapping[str, Any]) -> None:
    if alias not in infos:
        raise invalid(f"JSON object: does not have named input: {alias}")
    array = _array(value, infos[alias].dtype)
    first = columns[alias][0] if columns[alias] else array
    if first.size != array.size:
        raise invalid(f"Expecting tensor size: {first.size} but got: {array.size}")
    if first.shape != array.shape:
        raise invalid(f"Expecting shape {_dimensions(first)} but got: {_dimensions(array)}")
    columns[alias].append(array)


def _array(value: Any, dtype: int) -> NDArray[Any]:
    kind = tf.as_dtype(dtype)
    shape = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    flat: list[Any] = []
    _flatten(value, shape, 0, type_name(kind), flat)
    numpy_type = object if kind == tf.string else kind.as_numpy_dtype
    return np.array(flat, numpy_type).reshape(shape)


def _flatten(value: Any, shape: list[int], level: int, kind: str, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(_leaf(value, kind))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, shape, level + 1, kind, flat)


def _leaf(value: Any, kind: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _FLOATS and number:
        return value
    if kind in _INTEGERS and number and isinstance(value, int):
        limits = np.iinfo(kind)
        if limits.min <= value <= limits.max:
            return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "string":
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, dict):
            return from_base64(value)
    if kind not in {*_FLOATS, *_INTEGERS, "bool", "string"}:
        raise ServingError(StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {show(value)} to type: {kind}")
    raise invalid(f"JSON Value: {show(value)} Type: {json_type(value)} is not of expected type: {kind}")


def predictions(outputs: Arrays, *, rows: bool) -> bytes:
    """The answer to a predict request, in the form of the request. One output alone drops its name."""
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    lists = {alias: _listed(array, as_bytes=alias.endswith("_bytes")) for alias, array in sorted(outputs.items())}
    if not rows:
        return write({"outputs": next(iter(lists.values())) if len(lists) == 1 else lists})
    size = -1
    for alias, array in sorted(outputs.items()):
        if not array.ndim:
            raise invalid(f"Tensor name: {alias} has no shape information ")
        if size not in (-1, len(array)):
            raise invalid(f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    if len(lists) == 1:
        return write({"predictions": next(iter(lists.values()))})
    return write({"predictions": [{alias: lists[alias][row] for alias in lists} for row in range(size)]})


def write(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")


def short_float(value: Any) -> float:
    """A float32 as the double with the fewest digits that means the same float32, so that 0.2 is written 0.2."""
    return float(str(np.float32(value)))


def _listed(array: NDArray[Any], *, as_bytes: bool) -> Any:
    if array.dtype == np.float32:
        flat: list[Any] = [short_float(value) for value in array.ravel()]
    elif array.dtype.kind in "OSU":
        flat = [_string(value, as_bytes=as_bytes) for value in array.ravel()]
    elif array.dtype.name in {"float64", "bool", *_INTEGERS}:
        return array.tolist()
    else:
        raise invalid(f"Failed to write JSON value for tensor type: {type_name(tf.as_dtype(array.dtype))}")
    nested = np.empty(array.size, object)
    nested[:] = flat
    return nested.reshape(array.shape).tolist()


def _string(value: bytes | str, *, as_bytes: bool) -> Any:
    raw = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(raw).decode()} if as_bytes else raw.decode("utf-8", "surrogateescape")


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def from_base64(value: dict[str, Any]) -> bytes:
    if not is_base64(value):
        raise invalid(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"] + "=" * (-len(value["b64"]) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def json_type(value: Any) -> str:
    return str(value) if isinstance(value, bool) else _TYPE_NAMES[type(value)]


def show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)[:_MOST_SHOWN]


def _shaped(document: Any, message: str) -> ServingError:
    return invalid(f"JSON Value: {show(document)} {message}")


def _dimensions(array: NDArray[Any]) -> str:
    return f"[{','.join(map(str, array.shape))}]"
