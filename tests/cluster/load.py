"""An open load on a gateway of the rig: predictions leave by the clock, over REST and gRPC in turn; each is checked.

A version always says the same of the same image, over both protocols: one that doesn't was answered by another.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from types import TracebackType
from typing import NamedTuple

import grpc
import httpx
from google.protobuf.message import Message

from protos import methods, tfs_pb2


class Failure(NamedTuple):
    at: float
    """Seconds after the load's start."""
    protocol: str
    error: str


class Load:
    """`with Load(address, images) as load:` sends until the block ends; then `load.failures` is whole.

    `address` is `host:port` for both protocols. `images` are 64 numbers each.
    """

    def __init__(self, address: str, images: list[list[float]], *, name: str = "digits", rate: float = 100.0) -> None:
        self.failures: list[Failure] = []
        self.answered: Counter[str] = Counter()
        """By version, as the gateway says."""
        self.digits: dict[tuple[str, int], object] = {}
        """What each version saw in each image."""
        self.latencies: list[float] = []
        """Of those that were answered, in seconds."""
        self._address = address
        self._images = images
        self._name = name
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._started = time.monotonic()

    @property
    def sent(self) -> int:
        return sum(self.answered.values()) + len(self.failures)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        options = [("grpc.enable_retries", 0)]  # what fails is to be seen
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        async with (
            httpx.AsyncClient(base_url=f"http://{self._address}", trust_env=False, timeout=30, limits=limits) as rest,
            grpc.aio.insecure_channel(self._address, options) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            predict = channel.unary_unary(
                methods.PREDICT.path,
                request_serializer=tfs_pb2.PredictRequest.SerializeToString,
                response_deserializer=tfs_pb2.PredictResponse.FromString,
            )
            number = 0
            while not self._stop.is_set():
                await asyncio.sleep(self._started + number / self._rate - time.monotonic())
                image = number // 2 % len(self._images)  # each over both protocols
                tasks.create_task(self._grpc(predict, image) if number % 2 else self._rest(rest, image))
                number += 1

    async def _rest(self, client: httpx.AsyncClient, image: int) -> None:
        began = time.monotonic()
        body = {"instances": [self._images[image]]}
        try:
            answer = await client.post(f"/v1/models/{self._name}:predict", json=body)
        except httpx.TransportError as error:
            return self._failed("rest", repr(error))
        if not answer.is_success:
            return self._failed("rest", f"{answer.status_code} {answer.text}")
        digit = answer.json()["predictions"][0]["classes"]
        self._answered("rest", began, answer.headers.get("x-turnout-version"), image, digit)

    async def _grpc(
        self,
        predict: grpc.aio.UnaryUnaryMultiCallable[Message, tfs_pb2.PredictResponse],
        image: int,
    ) -> None:
        request = tfs_pb2.PredictRequest()
        request.model_spec.name = self._name
        images = request.inputs["images"]
        images.dtype = tfs_pb2.DT_FLOAT
        for size in (1, len(self._images[image])):
            images.tensor_shape.dim.add(size=size)
        images.float_val.extend(self._images[image])
        began = time.monotonic()
        call = predict(request, timeout=30)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            return self._failed("grpc", f"{error.code()} {error.details()}")
        head = {str(key): str(value) for key, value in await call.initial_metadata() or ()}
        (digit,) = answer.outputs["classes"].int64_val
        self._answered("grpc", began, head.get("x-turnout-version"), image, digit)

    def _answered(self, protocol: str, began: float, version: str | None, image: int, digit: object) -> None:
        if version is None or digit not in range(10) or self.digits.setdefault((version, image), digit) != digit:
            return self._failed(protocol, f"version {version} answered {digit!r} for image {image}")
        self.latencies.append(time.monotonic() - began)
        self.answered[version] += 1

    def _failed(self, protocol: str, error: str) -> None:
        self.failures.append(Failure(round(time.monotonic() - self._started, 2), protocol, error))
