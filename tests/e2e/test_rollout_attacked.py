"""A rollout on this machine while somebody makes his own requests fail, as many as all others send."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import pytest

from gateway.routing.sticky import position
from tests.e2e.test_rollout import begin, document, ended, lasted, port, rollout, turnout, write
from tests.fakes.faults import BODY, NAME, PATH
from tests.fakes.traffic import Traffic
from tests.fakes.turnout import Turnout, until

__all__ = ["port", "turnout"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HONEST = [f"127.0.0.{last}" for last in range(10, 50)]
ATTACKER = ["127.0.0.9"]
REFUSED = {"data": {"tensor": {"shape": [3, 3], "values": [1.0]}}}
"""What either version fails on."""
RATE = 40


def traffic(turnout: Turnout, body: Any, callers: list[str], **values: Any) -> Traffic:
    return Traffic(f"http://127.0.0.1:{turnout.port}{PATH}", body, rate=RATE, callers=callers, **values)


@pytest.mark.parametrize(("fault", "outcome"), [("", "promoted"), ("rejections", "rolled back")])
def test_who_fails_on_either_version_decides_nothing(fault: str, outcome: str, turnout: Turnout) -> None:
    with traffic(turnout, BODY, HONEST) as load, traffic(turnout, REFUSED, ATTACKER) as attack:
        attack.more(20)
        begin(turnout, fault, deadline="5m")
        record = ended(turnout, 300)
    print(f"{record['outcome']} after {lasted(record):.0f} s: {record['reason']}; {record['figures']}")
    assert len(attack.failures) >= attack.answered.total() > 100
    assert record["outcome"] == outcome, record["reason"]
    if not fault:
        assert load.failures == []


def test_who_fails_with_keys_of_the_canary_alone_does_not_roll_it_back(turnout: Turnout) -> None:
    """Whoever knows the salt, or has tried keys out, has as many as he likes."""
    salt = f"default/{NAME} v1 v2 1"
    aimed = (f"attacker-{number}" for number in count())
    keys = (key for key in aimed if position(salt, key.encode()).share < 0.2)
    attack = traffic(turnout, REFUSED, ATTACKER, headers=lambda number: {"x-user": next(keys)})
    with traffic(turnout, BODY, HONEST, headers=lambda number: {"x-user": f"user-{number}"}) as load:
        trial = document("", deadline="5m")
        trial["spec"]["traffic"]["sticky"] = {"header": "x-user"}
        turnout.run("apply", write(turnout, trial), "--no-wait")
        until(lambda: rollout(turnout).get("weight"), "the canary has its first traffic", 120)
        with attack:
            record = ended(turnout, 300)
    print(f"{record['outcome']} after {lasted(record):.0f} s: {record['reason']}; {record['figures']}")
    assert attack.answered["v2"] > 50
    assert record["outcome"] == "promoted", record["reason"]
    assert re.search("left out are [0-9]+ requests", " ".join(record["figures"]))
    assert load.failures == []
