"""A program that knows TensorFlow Serving only, by its own stubs.

`tfserving_calls.py HOST:PORT NAME SPECS` makes each kind of call with each of SPECS, a list in JSON of fields of
ModelSpec, which may repeat. It prints, as JSON, for each call: the version that the answer's metadata name, and the
answer as text.
"""

import json
import sys

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

IMAGE = [((7 * at) % 17) / 16 for at in range(64)]
FEATURE = tf.train.Feature(float_list=tf.train.FloatList(value=IMAGE))
EXAMPLE = tf.train.Example(features=tf.train.Features(feature={"image": FEATURE}))
INPUT = input_pb2.Input(example_list=input_pb2.ExampleList(examples=[EXAMPLE, EXAMPLE]))


def requests(spec):
    """Of each kind, by name; `spec` makes a ModelSpec."""
    two = predict_pb2.PredictRequest(model_spec=spec())
    two.inputs["images"].CopyFrom(tf.make_tensor_proto(np.array([IMAGE, IMAGE[::-1]], np.float32)))
    yield "predict", two
    one = predict_pb2.PredictRequest(model_spec=spec(signature_name="serving_default"), output_filter=["scores"])
    one.inputs["images"].CopyFrom(tf.make_tensor_proto(np.array([IMAGE], np.float32)))
    yield "predict filtered", one
    yield "classify", classification_pb2.ClassificationRequest(model_spec=spec(signature_name="classify"), input=INPUT)
    yield "regress", regression_pb2.RegressionRequest(model_spec=spec(signature_name="regress"), input=INPUT)
    several = inference_pb2.MultiInferenceRequest(input=INPUT)
    for name in ("classify", "regress"):
        several.tasks.add(method_name=f"tensorflow/serving/{name}", model_spec=spec(signature_name=name))
    yield "multi-inference", several
    yield (
        "metadata",
        get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"]),
    )
    yield "status", get_model_status_pb2.GetModelStatusRequest(model_spec=spec())
    yield "no such signature", predict_pb2.PredictRequest(model_spec=spec(signature_name="none"), inputs=two.inputs)
    wrong = predict_pb2.PredictRequest(model_spec=spec())
    wrong.inputs["pictures"].CopyFrom(two.inputs["images"])
    yield "no such input", wrong
    yield "no input", predict_pb2.PredictRequest(model_spec=spec())
    yield "no metadata field", get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec())


def text(answer):
    if isinstance(answer, get_model_metadata_pb2.GetModelMetadataResponse):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata.pop("signature_def").Unpack(signatures)
        return [text(signatures), text(answer.model_spec)]
    return text_format.MessageToString(answer)


def main():
    address, name, specs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    channel = grpc.insecure_channel(address)
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    methods = {
        predict_pb2.PredictRequest: prediction.Predict,
        classification_pb2.ClassificationRequest: prediction.Classify,
        regression_pb2.RegressionRequest: prediction.Regress,
        inference_pb2.MultiInferenceRequest: prediction.MultiInference,
        get_model_metadata_pb2.GetModelMetadataRequest: prediction.GetModelMetadata,
        get_model_status_pb2.GetModelStatusRequest: models.GetModelStatus,
    }
    answers = {}
    for number, fields in enumerate(specs):

        def spec(fields=fields, **more):
            return json_format.ParseDict({"name": name, **fields}, model_pb2.ModelSpec(**more))

        for kind, request in requests(spec):
            call = methods[type(request)].future(request, timeout=60)
            error = call.exception()
            by = dict([*call.initial_metadata(), *call.trailing_metadata()]).get("x-turnout-version")
            answers[f"{kind} {json.dumps(fields)} #{number}"] = [
                by,
                text(call.result()) if error is None else [error.code().name, error.details()],
            ]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
