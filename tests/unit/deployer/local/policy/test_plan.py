from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.local.policy.plan import Action, End, Leave, Need, ObservedReplica, Phase, Start, plan

D = "default/digits"


def need(replicas: int = 1, version: str = "v1", not_before: float = 0.0, in_place: bool = False) -> Need:
    return Need(D, version, replicas, not_before, in_place)


def seen(index: int, phase: Phase = Phase.READY, version: str = "v1", **facts: bool) -> ObservedReplica:
    return ObservedReplica(f"{version}.{index}", D, version, index, phase, **facts)


def test_nothing_is_done_where_all_is_as_it_should_be() -> None:
    assert plan([need(2)], [], [seen(0), seen(1, Phase.STARTING)], now=1) == []


@pytest.mark.parametrize(
    ("needs", "replicas", "actions"),
    [
        pytest.param([need(2)], [], [Start(D, "v1", 0), Start(D, "v1", 1)], id="both are missing"),
        pytest.param([need(2)], [seen(1)], [Start(D, "v1", 0)], id="the free index is taken"),
        pytest.param([need(1, not_before=9)], [], [], id="not before its time"),
        pytest.param([need(1, not_before=math.inf)], [], [], id="never"),
        pytest.param(
            [need(1)], [seen(0, Phase.ENDING, asked=True)], [Start(D, "v1", 1)], id="an ending one counts not"
        ),
        pytest.param([need(1)], [seen(0), seen(1)], [Leave("v1.1", "one replica less is wanted")], id="newest leaves"),
        pytest.param(
            [need(1)],
            [seen(0, Phase.STARTING), seen(1)],
            [Leave("v1.0", "one replica less is wanted")],
            id="who isn't ready leaves before who is",
        ),
        pytest.param([], [seen(0)], [Leave("v1.0", "no longer wanted")], id="no longer declared"),
        pytest.param([], [seen(0, Phase.LEAVING)], [], id="leaving, with requests under way"),
        pytest.param([], [seen(0, Phase.LEAVING, drained=True)], [End("v1.0", signal.SIGTERM)], id="drained"),
        pytest.param([], [seen(0, Phase.ENDING)], [End("v1.0", signal.SIGTERM)], id="ending, not asked yet"),
        pytest.param([], [seen(0, Phase.ENDING, asked=True)], [], id="ending, asked"),
        pytest.param(
            [], [seen(0, Phase.ENDING, asked=True, overdue=True)], [End("v1.0", signal.SIGKILL)], id="overdue"
        ),
        pytest.param(
            [need(1)], [seen(0, current=False)], [Start(D, "v1", 1)], id="a changed one serves until its successor can"
        ),
        pytest.param(
            [need(1)], [seen(0, current=False), seen(1, Phase.STARTING)], [], id="a changed one waits for its successor"
        ),
        pytest.param(
            [need(1)],
            [seen(0, current=False), seen(1)],
            [Leave("v1.0", "its description has changed")],
            id="a changed one leaves once its successor is ready",
        ),
        pytest.param(
            [need(1)],
            [seen(0, Phase.STARTING, current=False)],
            [Leave("v1.0", "its description has changed"), Start(D, "v1", 1)],
            id="a changed one that isn't ready is of no use",
        ),
        pytest.param(
            [need(1, in_place=True)],
            [seen(0, current=False)],
            [Leave("v1.0", "its description has changed")],
            id="in place: the changed one leaves first",
        ),
        pytest.param(
            [need(1, in_place=True)], [seen(0, Phase.ENDING, asked=True)], [], id="in place: its successor waits"
        ),
    ],
)
def test_actions(needs: Sequence[Need], replicas: Sequence[ObservedReplica], actions: Sequence[Action]) -> None:
    assert plan(needs, [], replicas, now=1) == actions


def test_a_held_version_goes_on_with_what_is_ready_and_starts_nothing() -> None:
    replicas = [seen(0), seen(1, Phase.STARTING)]
    assert plan([], [(D, "v1")], replicas, now=1) == [Leave("v1.1", "no longer wanted")]


def test_versions_do_not_disturb_each_other() -> None:
    needs = [need(1), need(1, "v2", not_before=math.inf)]
    assert plan(needs, [], [seen(0)], now=1) == []


@given(
    replicas=st.lists(
        st.builds(
            seen,
            st.integers(0, 20),
            st.sampled_from(Phase),
            current=st.booleans(),
            drained=st.booleans(),
            asked=st.booleans(),
            overdue=st.booleans(),
        ),
        max_size=8,
        unique_by=lambda replica: replica.name,
    ),
    wanted=st.integers(1, 6),
)
def test_it_comes_to_rest_at_what_is_wanted_and_never_gives_up_a_ready_replica_too_many(
    replicas: list[ObservedReplica], wanted: int
) -> None:
    """Do what is planned, as the machine would, until there is no more to do."""
    running = {replica.name: replica for replica in replicas}
    able = min(wanted, sum(r.phase is Phase.READY for r in replicas))
    for _ in range(60):
        actions = plan([need(wanted)], [], list(running.values()), now=1)
        for action in actions:
            match action:
                case Start(_, version, index):
                    assert f"{version}.{index}" not in running
                    running[f"{version}.{index}"] = seen(index, Phase.STARTING)
                case Leave(name, _):
                    ready = running[name].phase is Phase.READY
                    running[name] = replace(running[name], phase=Phase.LEAVING if ready else Phase.ENDING)
                case End(name, number):
                    running[name] = replace(running[name], phase=Phase.ENDING, asked=True, overdue=True)
                    if number is signal.SIGKILL:
                        del running[name]
        assert sum(r.phase is Phase.READY for r in running.values()) >= able
        for name, replica in list(running.items()):
            if replica.phase is Phase.STARTING and replica.current:
                running[name] = replace(replica, phase=Phase.READY)
                break
            if replica.phase is Phase.LEAVING:
                running[name] = replace(replica, drained=True)
            if replica.phase is Phase.ENDING and replica.asked:
                running[name] = replace(replica, overdue=True)
    assert [(r.phase, r.current) for r in running.values()] == [(Phase.READY, True)] * wanted
    assert plan([need(wanted)], [], list(running.values()), now=1) == []
