"""Predictions one after the other, over REST and gRPC in turn, for runtimes that `load.py` doesn't speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import grpc
import httpx
from google.protobuf.message import Message
from scipy import stats

from protos.methods import Method

Image = list[float]


class PredictApi(NamedTuple):
    """How an API is asked for the digit of one image; `metadata` names the deployment over gRPC."""

    path: str
    body: Callable[[Image], Any]
    digit: Callable[[Any], int]
    method: Method[Any, Any]
    message: Callable[[Image], Message]
    digit_of: Callable[[Any], int]
    metadata: Mapping[str, str]


class Predictions:
    """A client of one gateway."""

    def __init__(self, address: str, api: PredictApi) -> None:
        self._api = api
        self._rest = httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=30)
        self._channel = grpc.insecure_channel(address)
        self._call: grpc.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            api.method.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=api.method.response.FromString,
        )

    def __enter__(self) -> Predictions:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.close()
        self._channel.close()

    def rest(self, image: Image, version: str | None = None) -> tuple[str, int]:
        """The version that answered, and the digit that it saw."""
        pin = {"x-turnout-version": version} if version else {}
        answer = self._rest.post(self._api.path, json=self._api.body(image), headers=pin)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-turnout-version"], self._api.digit(answer.json())

    def grpc(self, image: Image, version: str | None = None) -> tuple[str, int]:
        metadata = (*self._api.metadata.items(), *([("x-turnout-version", version)] if version else []))
        answer, call = self._call.with_call(self._api.message(image), timeout=30, metadata=metadata)
        head = {str(key): str(value) for key, value in call.initial_metadata()}
        return head["x-turnout-version"], self._api.digit_of(answer)

    def check(self, images: Sequence[Image], shown: Sequence[int], weight: float) -> None:
        """Each version sees its digits, the same over both protocols, and the canary, v2, gets its share."""
        for version, least in (("v1", 0.5), ("v2", 0.85)):  # v1 is the weaker model
            seen = [self.rest(image, version) for image in images]
            assert seen == [self.grpc(image, version) for image in images]
            assert {by for by, _ in seen} == {version}
            right = sum(digit == there for (_, digit), there in zip(seen, shown, strict=True))
            assert right >= least * len(shown), f"{version} knows {right} of {len(shown)} digits"
        by = Counter(
            (self.grpc if number % 2 else self.rest)(images[number % len(images)])[0] for number in range(1000)
        )
        assert stats.binomtest(by["v2"], 1000, weight / 100).pvalue > 1e-4, by
