"""Classify, Regress and MultiInference: requests of examples, which a signature takes as one tensor of strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from numpy.typing import NDArray
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from . import json_tensors
from .errors import ServingError, invalid
from .servable import DEFAULT_SIGNATURE, Servable

_INPUTS = "inputs"
_CLASSES, _SCORES = "classes", "scores"
_OUTPUTS = "outputs"


def classify(servable: Servable, signature_name: str, examples: Any) -> Any:
    """A ClassificationResult for an Input message."""
    signature = _signature(servable, signature_name, "classification", {_CLASSES, _SCORES})
    outputs, count = _run(servable, signature, examples)
    for alias, kinds, name in ((_CLASSES, "OSU", "DT_STRING"), (_SCORES, "f", "DT_FLOAT")):
        array = outputs.get(alias)
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if array.dtype.kind not in kinds:
            raise invalid(f"Expected {alias} Tensor of {name}. Got: {_dtype(array)}")
        if len(array) != count:
            raise invalid(f"Expected {alias} output batch size of {count}. Got: {len(array)}")
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    for row in range(count):
        item = result.classifications.add()
        for column in range(next(iter(outputs.values())).shape[1]):
            label = b"" if classes is None else classes[row, column]
            item.classes.add(label=label, score=0 if scores is None else scores[row, column])
    return result


def regress(servable: Servable, signature_name: str, examples: Any) -> Any:
    """A RegressionResult for an Input message."""
    signature = _signature(servable, signature_name, "regression", {_OUTPUTS})
    outputs, count = _run(servable, signature, examples)
    array = outputs[_OUTPUTS]
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(array)}"
        )
    if len(array) != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype(array)}")
    result = regression_pb2.RegressionResult()
    for value in array.ravel():
        result.regressions.add(value=value)
    return result


def infer(servable: Servable, request: Any) -> Any:
    """A MultiInferenceResponse: each task in turn, over the same examples."""
    response = inference_pb2.MultiInferenceResponse()
    seen: set[str] = set()
    for task in request.tasks:
        if task.model_spec.name != servable.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in servable.signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
        result = response.results.add()
        result.model_spec.name, result.model_spec.signature_name = servable.name, name
        result.model_spec.version.value = servable.version
        match task.method_name:
            case "tensorflow/serving/classify":
                result.classification_result.CopyFrom(classify(servable, name, request.input))
            case "tensorflow/serving/regress":
                result.regression_result.CopyFrom(regress(servable, name, request.input))
            case other:
                raise ServingError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {other}")
    return response


def from_json(document: dict[str, Any]) -> Any:
    """The Input message of a REST request: `examples`, with an optional `context` that belongs to each."""
    rows = document.get("examples")
    if "examples" not in document:
        problem = "When method is classify, key 'examples' is expected and was not found"
    elif not isinstance(rows, list):
        problem = "Expecting 'examples' value to be an list/array"
    else:
        problem = "" if rows else "'examples' value is an empty array"
    if problem or not isinstance(rows, list):
        raise invalid(f"JSON Value: {json_tensors.show(document)} {problem}")
    examples = [_example(row) for row in rows]
    if "context" in document:
        context = _example(document["context"])
        return input_pb2.Input(
            example_list_with_context=input_pb2.ExampleListWithContext(examples=examples, context=context)
        )
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))


def _example(value: Any) -> Any:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_tensors.json_type(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add(feature, name, item)
    return example


def _add(feature: Any, name: str, value: Any) -> None:
    kind: str
    stored: int | float | bytes
    if isinstance(value, bool | int):
        if not -(2**63) <= value < 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        kind, stored = "int64_list", int(value)
    elif isinstance(value, float):
        kind, stored = "float_list", value
    elif isinstance(value, str):
        kind, stored = "bytes_list", value.encode("utf-8", "surrogateescape")
    elif json_tensors.is_base64(value):
        kind, stored = "bytes_list", json_tensors.from_base64(value)
    else:
        json_type = json_tensors.json_type(value)
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type}")
    chosen = feature.WhichOneof("kind")
    if chosen not in (None, kind):
        expected = chosen.removesuffix("_list")
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    getattr(feature, kind).value.append(stored)


def _signature(servable: Servable, name: str, what: str, outputs: set[str]) -> Any:
    signature = servable.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
    # The method's name is not looked at, nor is it by the real server: exporters of TF 2 write "predict" for all.
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if not 1 <= len(signature.outputs) <= len(outputs):
        expected = "one or two output Tensors" if len(outputs) == 2 else "one output Tensor"
        raise invalid(f"Expected {expected}, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No {what} inputs found in SignatureDef: {signature}")
    if not outputs & set(signature.outputs):
        raise invalid(f"No {what} outputs found in SignatureDef: {signature}")
    return signature


def _run(servable: Servable, signature: Any, examples: Any) -> tuple[dict[str, NDArray[Any]], int]:
    """The outputs that count by alias, and how many examples there were."""
    kind = examples.WhichOneof("kind")
    chosen = getattr(examples, kind) if kind else None
    if chosen is None or not chosen.examples:
        raise invalid("Input is empty.")
    # Joining two serialized messages merges them.
    shared = chosen.context.SerializeToString() if kind == "example_list_with_context" else b""
    serialized = np.array([shared + example.SerializeToString() for example in chosen.examples], object)
    aliases = [alias for alias in (_CLASSES, _SCORES, _OUTPUTS) if alias in signature.outputs]
    names = [signature.outputs[alias].name for alias in aliases]
    values = servable.run({signature.inputs[_INPUTS].name: serialized}, names)
    return dict(zip(aliases, values, strict=True)), len(serialized)


def _shape(array: NDArray[Any]) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _dtype(array: NDArray[Any]) -> str:
    return f"DT_{tf.as_dtype(array.dtype).name.upper()}"
