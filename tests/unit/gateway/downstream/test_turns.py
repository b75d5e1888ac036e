from __future__ import annotations

import asyncio

from gateway.downstream.turns import Turns


async def _run(order: list[str]) -> Turns:
    loop = asyncio.get_running_loop()
    turns = Turns()

    def fail() -> None:
        order.append("b")
        raise RuntimeError

    loop.set_exception_handler(lambda *_: None)

    def go_on() -> None:
        order.append("c")
        turns.wait(lambda: order.append("c again"))

    turns.wait(lambda: order.append("a"))
    turns.wait(fail)
    turns.wait(go_on)
    assert turns.taken
    for _ in range(5):
        loop.call_soon(order.append, "others")
        await asyncio.sleep(0)
    return turns


def test_each_turn_of_the_loop_has_one_of_those_that_wait() -> None:
    """Whatever becomes of it."""
    order: list[str] = []
    turns = asyncio.run(_run(order))
    assert order == ["a", "others", "b", "others", "c", "others", "c again", "others", "others"]
    assert not turns.taken
