"""`echo_server.py VERSION REST_PORT GRPC_PORT`: repeats what it is asked, by TensorFlow Serving's two APIs.

A prediction takes a while, so that whenever the process is killed some are under way. The answer is the request's one
number and the version's name.
"""

import asyncio
import json
import random
import sys

import grpc

from protos import tfs_pb2

PREDICT = "/tensorflow.serving.PredictionService/Predict"
SECONDS = 0.02, 0.1
VERSION = sys.argv[1]


class Grpc(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(
            self.predict,
            request_deserializer=tfs_pb2.PredictRequest.FromString,
            response_serializer=tfs_pb2.PredictResponse.SerializeToString,
        )

    async def predict(self, request, context):
        await asyncio.sleep(random.uniform(*SECONDS))
        answer = tfs_pb2.PredictResponse()
        answer.outputs["number"].CopyFrom(request.inputs["number"])
        answer.outputs["version"].string_val.append(VERSION.encode())
        return answer


async def rest(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            await asyncio.sleep(random.uniform(*SECONDS))
            answer = json.dumps({"predictions": [*json.loads(body)["instances"], VERSION]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = grpc.aio.server(handlers=[Grpc()])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[3]}")
    await server.start()
    async with await asyncio.start_server(rest, "127.0.0.1", int(sys.argv[2])) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
