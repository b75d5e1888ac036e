"""A program that knows the Open Inference Protocol only, by Triton's own client.

`oip_calls.py TRANSPORT HOST:PORT[/PREFIX] MODEL VERSIONS HEADERS STREAMS` asks a server each kind of question of the
model in each of VERSIONS, a list in JSON of the protocol's version strings ("": none), with HEADERS, and where STREAMS
is true for streams too. It prints, as JSON, what comes back: each answer or error by what was asked and the version.
"""

import json
import queue
import sys

import numpy as np

TRANSPORT, ADDRESS, MODEL = sys.argv[1:4]
VERSIONS, HEADERS, STREAMS = map(json.loads, sys.argv[4:7])

if TRANSPORT == "rest":
    from tritonclient import http as protocol
else:
    from tritonclient import grpc as protocol

IMAGES = (np.arange(3 * 64, dtype=np.float32).reshape(3, 64) * 7 % 17) / 16


def image(values, **form):
    tensor = protocol.InferInput("images", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, **form)
    return tensor


def outcome(ask):
    try:
        answer = ask()
    except protocol.InferenceServerException as error:
        return {"error": [error.status(), error.message()]}
    return answer if isinstance(answer, (bool, dict)) else inferred(answer)


def inferred(answer):
    response = answer.get_response() if TRANSPORT == "rest" else answer.get_response(as_json=True)
    values = {output["name"]: answer.as_numpy(output["name"]).tolist() for output in response["outputs"]}
    return {"values": values, **{name: response[name] for name in ("model_name", "model_version")}}


def streamed(client, version, sizes):
    """The answers to one stream: to each message its own, in their order, with an error in its place."""
    came = queue.Queue()
    client.start_stream(lambda result, error: came.put((result, error)), headers=HEADERS)
    answers = []
    for size in sizes:
        client.async_stream_infer(MODEL, [image(IMAGES[:, :size])], version)
        result, error = came.get(timeout=60)
        answers.append({"error": error.message()} if error else inferred(result))
    client.stop_stream()
    return {"answers": answers}


def questions(client):
    """By name, each taking a version."""
    json_form = {"as_json": True} if TRANSPORT == "grpc" else {}
    forms = {"": {}} if TRANSPORT == "grpc" else {" as JSON": {"binary_data": False}, " binary": {"binary_data": True}}

    def infer(version, values, name=MODEL, outputs=None, **form):
        # The client adds to the headers that it is given.
        return client.infer(name, [image(values, **form)], version, outputs=outputs, headers=dict(HEADERS))

    yield "live", lambda version: client.is_server_live(headers=HEADERS)
    yield "ready", lambda version: client.is_server_ready(headers=HEADERS)
    yield "server metadata", lambda version: client.get_server_metadata(headers=HEADERS, **json_form)
    yield "model ready", lambda version: client.is_model_ready(MODEL, version, headers=HEADERS)
    yield "metadata", lambda version: client.get_model_metadata(MODEL, version, headers=HEADERS, **json_form)
    for kind, form in forms.items():
        yield f"infer{kind}", lambda version, form=form: infer(version, IMAGES, **form)
        wanted = protocol.InferRequestedOutput("predict", **form)
        yield (
            f"infer asked for{kind}",
            lambda version, form=form, wanted=wanted: infer(version, IMAGES, outputs=[wanted], **form),
        )
        yield f"infer wrong{kind}", lambda version, form=form: infer(version, IMAGES[:, :3], **form)
        yield f"infer many{kind}", lambda version, form=form: infer(version, np.tile(IMAGES, (100, 1)), **form)
    if TRANSPORT == "grpc" and STREAMS:
        yield "stream", lambda version: streamed(client, version, [64] * 5)
        yield "stream wrong", lambda version: streamed(client, version, [64, 3])
    yield "infer no model", lambda version: infer(version, IMAGES, "nobody", **next(iter(forms.values())))
    yield "load", lambda version: client.load_model(MODEL, headers=HEADERS) or {}


def main():
    answers = {}
    for version in VERSIONS:
        # Anew each time: MLServer closes a connection after an error of its model, and the client does not notice.
        for at in range(len(list(questions(None)))):
            client = protocol.InferenceServerClient(ADDRESS)
            name, ask = list(questions(client))[at]
            answers[f"{name} {version}".strip()] = outcome(lambda ask=ask, version=version: ask(version))
            client.close()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
