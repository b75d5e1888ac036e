"""The gRPC methods by their full names on the wire, with their messages, for clients without generated stubs.

`channel.unary_unary(m.path, m.request.SerializeToString, m.response.FromString)` makes `m` callable.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from protos import oip_pb2, seldon_pb2, tfs_pb2

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Method(NamedTuple, Generic[Request, Response]):
    path: str
    request: type[Request]
    response: type[Response]


PREDICT = Method("/tensorflow.serving.PredictionService/Predict", tfs_pb2.PredictRequest, tfs_pb2.PredictResponse)
CLASSIFY = Method(
    "/tensorflow.serving.PredictionService/Classify", tfs_pb2.ClassificationRequest, tfs_pb2.ClassificationResponse
)
REGRESS = Method("/tensorflow.serving.PredictionService/Regress", tfs_pb2.RegressionRequest, tfs_pb2.RegressionResponse)
GET_MODEL_METADATA = Method(
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    tfs_pb2.GetModelMetadataRequest,
    tfs_pb2.GetModelMetadataResponse,
)
GET_MODEL_STATUS = Method(
    "/tensorflow.serving.ModelService/GetModelStatus", tfs_pb2.GetModelStatusRequest, tfs_pb2.GetModelStatusResponse
)
SELDON_PREDICT = Method("/seldon.protos.Seldon/Predict", seldon_pb2.SeldonMessage, seldon_pb2.SeldonMessage)
SELDON_SEND_FEEDBACK = Method("/seldon.protos.Seldon/SendFeedback", seldon_pb2.Feedback, seldon_pb2.SeldonMessage)
OIP_MODEL_INFER = Method(
    "/inference.GRPCInferenceService/ModelInfer", oip_pb2.ModelInferRequest, oip_pb2.ModelInferResponse
)
OIP_MODEL_READY = Method(
    "/inference.GRPCInferenceService/ModelReady", oip_pb2.ModelReadyRequest, oip_pb2.ModelReadyResponse
)
