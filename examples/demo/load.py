"""Sends digits over all APIs at once, and holds each answer to what its version itself says of that digit."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle

from examples.demo.clients import APIS, Api, Image, Unanswered

SENDERS = 2
"""Connections for each API: one for each worker of a small gateway."""
PAUSE = 0.1
"""Seconds between two requests on a connection where a flow is all that is wanted."""
MOST_PROBLEMS = 5
"""That are told in words; the others are only counted."""

Expected = Mapping[tuple[str, str], Sequence[bytes]]
"""By protocol and version: what that version answers to each digit."""


class Results:
    """What came back, by protocol and version, from now on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._latest: dict[str, float] = {}
        self.answers: Counter[tuple[str, str]] = Counter()
        self.right: Counter[tuple[str, str]] = Counter()
        self.problems: list[str] = []
        self.wrong = 0
        """Requests that got an error, no answer, or another than their version gives itself."""
        self._lock = threading.Lock()

    def answered(self, protocol: str, version: str, right: bool) -> None:
        with self._lock:
            self.answers[protocol, version] += 1
            self.right[protocol, version] += right
            self._latest[protocol] = time.monotonic()

    def seconds(self, protocol: str) -> float:
        """Until its last answer."""
        return self._latest.get(protocol, math.inf) - self._began

    def problem(self, text: str) -> None:
        with self._lock:
            self.wrong += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(text)


class Load:
    """`digits` are the images with their labels."""

    def __init__(self, gateway: str, digits: Sequence[tuple[Image, int]], expected: Expected) -> None:
        self._gateway, self._digits, self._expected = gateway, digits, expected

    def each(self, results: Results) -> None:
        """Send each digit once over each API; done when all are answered."""
        stop = threading.Event()
        indices = range(len(self._digits))
        self._send(lambda sender: indices[sender::SENDERS], results, stop)

    @contextmanager
    def flowing(self, results: Results) -> Iterator[None]:
        """Send some digits all the while, over each API."""
        stop = threading.Event()

        def unhurried(sender: int) -> Iterator[int]:
            for index in cycle(range(sender, len(self._digits), SENDERS)):
                yield index
                if stop.wait(PAUSE):
                    return

        flow = threading.Thread(target=self._send, args=(unhurried, results, stop))
        flow.start()
        try:
            yield
        finally:
            stop.set()
            flow.join()

    def _send(self, indices: Callable[[int], Iterable[int]], results: Results, stop: threading.Event) -> None:
        with ThreadPoolExecutor(len(APIS) * SENDERS) as senders:
            try:
                under_way = [
                    senders.submit(self._sender, api, indices(sender), results, stop)
                    for api in APIS
                    for sender in range(SENDERS)
                ]
                for sent in under_way:
                    sent.result()
            finally:
                stop.set()  # on Ctrl-C: the executor waits for its threads

    def _sender(self, api: Api, indices: Iterable[int], results: Results, stop: threading.Event) -> None:
        with closing(api.connect(self._gateway, False)) as client:
            for index in indices:
                if stop.is_set():
                    return
                image, label = self._digits[index]
                try:
                    answer = client.ask(image)
                except Unanswered as error:
                    results.problem(f"{api.name}, digit {index}: {error}")
                    continue
                results.answered(api.protocol, answer.version, answer.digit == label)
                own = self._expected.get((api.protocol, answer.version))
                if own is None:
                    results.problem(f"{api.name}, digit {index}: the answer names no known version: {answer.version!r}")
                elif answer.content != own[index]:
                    results.problem(f"{api.name}, digit {index}: not what {answer.version} answers itself")


def ask_each(api: Api, server: str, digits: Sequence[tuple[Image, int]]) -> list[bytes]:
    """What the model server at `server` answers itself to each digit. Raises Unanswered."""
    with closing(api.connect(server, True)) as client:
        return [client.ask(image).content for image, _ in digits]
