"""Questions that may take seconds, asked aside of the loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Background(Generic[Answer]):
    """At most one question at a time for each key, each in a thread that does not hold up the program's end."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, queue.SimpleQueue[Answer | Exception]] = {}

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> None:
        """Ask, unless the last question of this key is unanswered or its answer not taken."""
        if key not in self._asked:
            answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
            self._asked[key] = answers
            threading.Thread(target=_answer, args=(question, answers), name=f"aside {key}", daemon=True).start()

    def answer(self, key: Hashable) -> Answer | None:
        """The answer, once; None while there is none. Raises what the question raised."""
        answers = self._asked.get(key)
        if answers is None or answers.empty():
            return None
        del self._asked[key]
        answer = answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self, key: Hashable) -> None:
        """Take no notice of the answer any more."""
        self._asked.pop(key, None)


def _answer(question: Callable[[], Answer], answers: queue.SimpleQueue[Answer | Exception]) -> None:
    try:
        answers.put(question())
    except Exception as error:
        answers.put(error)
