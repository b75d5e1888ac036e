"""A client that knows TensorFlow Serving only, by its own stubs: `tfserving_client.py HOST:PORT` prints JSON."""

import json
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


def main():
    answers = {}
    channel = grpc.insecure_channel(sys.argv[1])
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "digits"
    request.model_spec.version.value = 1
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 64), np.float32)))
    answers["predict"] = int(tf.make_ndarray(prediction.Predict(request).outputs["classes"])[0])

    image = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 64))
    example = tf.train.Example(features=tf.train.Features(feature={"image": image}))

    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "digits", "classify"
    request.input.example_list.examples.append(example)
    answers["classify"] = best(prediction.Classify(request).result.classifications[0])

    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "digits", "regress"
    request.input.example_list_with_context.context.CopyFrom(example)
    request.input.example_list_with_context.examples.add()
    answers["regress"] = prediction.Regress(request).result.regressions[0].value

    request = inference_pb2.MultiInferenceRequest()
    for name in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{name}")
        task.model_spec.name, task.model_spec.signature_name = "digits", name
    request.input.example_list.examples.append(example)
    both = prediction.MultiInference(request).results
    answers["infer"] = [
        best(both[0].classification_result.classifications[0]),
        both[1].regression_result.regressions[0].value,
    ]

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "digits"
    state = get_model_status_pb2.ModelVersionStatus.State.Name
    answers["status"] = [
        [item.version, state(item.state), item.status.error_code]
        for item in models.GetModelStatus(request).model_version_status
    ]

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "digits"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    prediction.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
    answers["metadata"] = sorted(signatures.signature_def)

    try:
        models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
    except grpc.RpcError as error:
        answers["reload"] = error.code().name
    print(json.dumps(answers))


def best(classifications):
    return max(classifications.classes, key=lambda item: item.score).label


if __name__ == "__main__":
    main()
