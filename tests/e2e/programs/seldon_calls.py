"""A program that knows Seldon only, by its own client.

`seldon_calls.py DEPLOYMENT WAYS` predicts and gives feedback with each kind of payload in each of WAYS, and prints what
comes back. WAYS is a list, in JSON, of (kind of gateway as SeldonClient calls it, transport, HOST:PORT, headers).
The kind "seldon" names no deployment, as if there were but one: so it can ask a server itself.
"""

import json
import sys

import numpy as np
from seldon_core.proto import prediction_pb2
from seldon_core.seldon_client import SeldonClient

ARRAY = np.array([[1.0, 2.5, -3.0], [4.0, 5.0, 1e300]])
PAYLOADS = {
    "tensor": {"data": ARRAY, "payload_type": "tensor"},
    "ndarray": {"data": ARRAY, "payload_type": "ndarray", "names": ["a", "b", "c"]},
    "strData": {"str_data": "text, «quoted»\n"},
    "binData": {"bin_data": bytes(range(256))},
    "jsonData": {"json_data": {"a": [1, 2.5, None], "b": {"c": "ü"}}},
    "wrong": {"str_data": "raise"},
}


def shown(result):
    # An error's text of gRPC has a time and addresses in it.
    message = result.msg.split("debug_error_string")[0] if "debug_error_string" in result.msg else result.msg
    return [result.success, message, result.response]


def ask(deployment, gateway, transport, address, headers):
    client = SeldonClient(
        gateway=gateway,
        transport=transport,
        gateway_endpoint=address,
        deployment_name=deployment,
        namespace="default",
    )
    answers = {}
    for kind, payload in PAYLOADS.items():
        answers[f"predict {kind}"] = shown(client.predict(headers=headers, **payload))
    truth = prediction_pb2.SeldonMessage(strData="right")
    for kind in ("tensor", "strData"):
        result = client.predict(headers=headers, client_return_type="proto", **PAYLOADS[kind])
        answers[f"feedback {kind}"] = shown(
            client.feedback(result.request, result.response, prediction_truth=truth, reward=0.5)
        )
    return answers


def main():
    print(json.dumps([ask(sys.argv[1], *way) for way in json.loads(sys.argv[2])]))


if __name__ == "__main__":
    main()
