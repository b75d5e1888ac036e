"""The third example on the rig: MLServer's real processes, over the Open Inference Protocol."""

from __future__ import annotations

import pytest

from protos import methods, oip_pb2
from tests.cluster.installed import EXAMPLES, Installed, images
from tests.cluster.predictions import Image, PredictApi, Predictions

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAME = "digits-oip"


def message(image: Image) -> oip_pb2.ModelInferRequest:
    request = oip_pb2.ModelInferRequest(model_name=NAME)
    tensor = request.inputs.add(name="images", datatype="FP32", shape=[1, len(image)])
    tensor.contents.fp32_contents.extend(image)
    return request


OIP = PredictApi(
    path=f"/v2/models/{NAME}/infer",
    body=lambda image: {"inputs": [{"name": "images", "shape": [1, len(image)], "datatype": "FP32", "data": image}]},
    digit=lambda answer: int(answer["outputs"][0]["data"][0]),
    method=methods.OIP_MODEL_INFER,
    message=message,
    digit_of=lambda answer: int(answer.outputs[0].contents.int64_contents[0]),
    metadata={},
)


def test_mlserver_answers_for_both_versions(installed: Installed) -> None:
    installed.apply(EXAMPLES / f"{NAME}.yaml")
    try:
        status = installed.settled(NAME, 240)
        assert (status["stable"], status["canary"], status["ready"]) == ("v1", "v2", "2/2")
        row = installed.cluster.kubectl("get", "modeldeployments", NAME, "--no-headers")
        assert row.split()[:-1] == [NAME, "v1", "v2", "10", "Ready", "2/2"]
        with Predictions(installed.address, OIP) as predictions:
            predictions.check(*images(), weight=10)
    finally:
        installed.remove(NAME)
