"""Tensors between protobuf and numpy, in the form that the real server answers in: values in the list of their type."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2

from .errors import invalid

_LISTS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint16: "int_val",
    tf.string: "string_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.float16: "half_val",
    tf.bfloat16: "half_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
}


def type_name(kind: tf.DType) -> str:
    """TensorFlow's own word for a type, as its errors have it."""
    return {"float32": "float", "float64": "double", "float16": "half"}.get(kind.name, str(kind.name))


def to_array(alias: str, tensor: Any) -> NDArray[Any]:
    """The array of a TensorProto, of the shape that it states."""
    try:
        array: NDArray[Any] = tf.make_ndarray(tensor)
        return array
    except (TypeError, ValueError, KeyError, MemoryError, OverflowError):
        raise invalid(f"tensor parsing error: {alias}") from None


def to_proto(array: NDArray[Any]) -> Any:
    """A TensorProto without `tensor_content`."""
    kind = tf.as_dtype(array.dtype)
    tensor = tensor_pb2.TensorProto(dtype=kind.as_datatype_enum)
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if kind not in _LISTS:
        raise invalid(f"an output of type {type_name(kind)} can't be answered")
    if _LISTS[kind] == "half_val":
        array = array.view(np.uint16)
    values = [_bytes(value) for value in array.ravel()] if kind == tf.string else array.ravel().tolist()
    getattr(tensor, _LISTS[kind]).extend(values)
    return tensor


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
