"""The gRPC API, over the real stubs of `tensorflow-serving-api`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from . import examples, tensors
from .catalogue import Catalogue
from .errors import ServingError, invalid
from .servable import DEFAULT_SIGNATURE, Servable

log = logging.getLogger(__name__)
_MOST_TEXT = 1024
"""Characters of an error: more might not fit in a header, and the real server cuts there too."""


def add_to(server: grpc.Server, catalogue: Catalogue) -> None:
    """Offer both services on `server`."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(catalogue), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(catalogue), server)


class PredictionService:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            servable = self._servable(request)
            inputs = {alias: tensors.to_array(alias, tensor) for alias, tensor in request.inputs.items()}
            outputs = servable.predict(request.model_spec.signature_name, inputs, list(request.output_filter))
            response = predict_pb2.PredictResponse()
            for alias, array in outputs.items():
                response.outputs[alias].CopyFrom(tensors.to_proto(array))
            return _signed(response, servable, request)

        return _guarded(context, answer)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            servable = self._servable(request)
            result = examples.classify(servable, request.model_spec.signature_name, request.input)
            return _signed(classification_pb2.ClassificationResponse(result=result), servable, request)

        return _guarded(context, answer)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            servable = self._servable(request)
            result = examples.regress(servable, request.model_spec.signature_name, request.input)
            return _signed(regression_pb2.RegressionResponse(result=result), servable, request)

        return _guarded(context, answer)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if not request.tasks:
                raise invalid("ModelSpec has no name specified.")
            return examples.infer(self._servable(request.tasks[0]), request)

        return _guarded(context, answer)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != "signature_def":
                    raise invalid(f"Metadata field {field} is not supported")
            servable = self._servable(request)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = servable.name
            response.model_spec.version.value = servable.version
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
            response.metadata["signature_def"].Pack(signatures)
            return response

        return _guarded(context, answer)

    def _servable(self, request: Any) -> Servable:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return self._catalogue.servable(request.model_spec)


class ModelService:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            return self._catalogue.status(request.model_spec)

        return _guarded(context, answer)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Not here: each version has a server of its own, whose configuration never changes."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the stand-in does not reload its configuration")


def _signed(response: Any, servable: Servable, request: Any) -> Any:
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    return response


def _guarded(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except ServingError as error:
        cut = error.message[:_MOST_TEXT] + ("...TRUNCATED" if len(error.message) > _MOST_TEXT else "")
        context.abort(error.code, cut)
    except Exception:  # a fault of ours: the caller gets no traceback, the log does
        log.exception("a request failed")
        context.abort(grpc.StatusCode.INTERNAL, "internal error of the stand-in; its log tells more")
