"""One version of a model in memory: its signatures, and a session that runs them, as TensorFlow Serving has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from numpy.typing import NDArray

from .errors import BY_NUMBER, ServingError, invalid
from .tensors import type_name

DEFAULT_SIGNATURE = "serving_default"
Arrays = dict[str, NDArray[Any]]


class Servable:
    """A loaded SavedModel.

    Parameters:
        path: the version's folder.
        intra, inter: threads for one operation and for operations beside each other; 0 means one per core.

    Raises:
        ServingError: it does not load; the text is TensorFlow's.
    """

    def __init__(self, name: str, version: int, path: Path, intra: int, inter: int) -> None:
        self.name = name
        self.version = version
        threads = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=intra, inter_op_parallelism_threads=inter)
        try:
            # A session of TF 1 and not `tf.saved_model.load`: it is how the real server runs the models of TF 2 too.
            self._session = tf.compat.v1.Session(graph=tf.Graph(), config=threads)
            with self._session.graph.as_default():
                graph = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(path))
        except Exception as error:  # whatever a broken model makes TensorFlow raise
            raise _translated(error) from error
        self.signatures: Mapping[str, Any] = dict(graph.signature_def)
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> list[NDArray[Any]]:
        """The values of the tensors named `fetches`, given those named in `feeds`. Any thread may call it."""
        key = (tuple(feeds), tuple(fetches))
        run = self._callables.get(key)
        try:
            if run is None:
                run = self._session.make_callable(list(fetches), feed_list=list(feeds))
                self._callables[key] = run
            return [np.asarray(value) for value in run(*feeds.values())]
        except Exception as error:  # see above
            raise _translated(error) from error

    def predict(self, signature_name: str, inputs: Arrays, only: Sequence[str] = ()) -> Arrays:
        """The outputs by alias, or those in `only`."""
        signature = self.signatures.get(signature_name or DEFAULT_SIGNATURE)
        if signature is None:
            raise ServingError(
                StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{signature_name or DEFAULT_SIGNATURE}" not found.',
            )
        wanted, sent = set(signature.inputs), set(inputs)
        if wanted != sent:
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(wanted)} len({_set(sent)}) != "
                f"len({_set(wanted)}). Sent extra: {_set(sent - wanted)}. "
                f"Missing but required: {_set(wanted - sent)}."
            )
        for index, alias in enumerate(sorted(inputs)):
            expected, got = tf.as_dtype(signature.inputs[alias].dtype), tf.as_dtype(inputs[alias].dtype)
            if expected != got:
                raise invalid(f"Expects arg[{index}] to be {type_name(expected)} but {type_name(got)} is provided")
        for index, alias in enumerate(only):
            if alias not in signature.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                    f"{_set(set(signature.outputs))}."
                )
            if alias in only[:index]:
                raise invalid(f"duplicate output tensor alias: {alias}")
        aliases = list(only) or sorted(signature.outputs)
        feeds = {signature.inputs[alias].name: inputs[alias] for alias in sorted(inputs)}
        values = self.run(feeds, [signature.outputs[alias].name for alias in aliases])
        return dict(zip(aliases, values, strict=True))


def _set(names: set[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _translated(error: Exception) -> ServingError:
    if isinstance(error, tf.errors.OpError):
        message = error.message.removeprefix("Graph execution error:\n\n")  # which Python adds
        return ServingError(BY_NUMBER.get(error.error_code, StatusCode.UNKNOWN), message)
    if isinstance(error, MemoryError):
        return ServingError(StatusCode.RESOURCE_EXHAUSTED, "out of memory")
    code = StatusCode.NOT_FOUND if isinstance(error, OSError) else StatusCode.INVALID_ARGUMENT
    return ServingError(code, str(error))
