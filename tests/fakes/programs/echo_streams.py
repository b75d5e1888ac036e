"""A model server, by gRPC's own library, that answers each message of a ModelStreamInfer with what it brought. Says its
port, and serves until it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from protos.oip_pb2 import ModelInferRequest, ModelInferResponse

SERVICE, METHOD = "inference.GRPCInferenceService", "ModelStreamInfer"


async def echo(requests: AsyncIterator[ModelInferRequest], context: object) -> AsyncIterator[ModelInferResponse]:
    async for request in requests:
        yield ModelInferResponse(id=request.id, raw_output_contents=request.raw_input_contents)


async def main() -> None:
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        echo, ModelInferRequest.FromString, ModelInferResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
