"""Whole rollouts through every order of events, with a target that dies between any two."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.document.model import ModelDeployment
from deployer.rollout.analysis.verdict import Verdict
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision
from deployer.rollout.state import OVER, Action, Phase
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared

SCALED = {"minReplicas": 1, "maxReplicas": 6}
PAUSED = {**ROLLOUT, "pauses": [{"at": 5, "for": "5s"}, {"at": 25}]}
DOCUMENTS: tuple[ModelDeployment, ...] = (
    declared(replicas=SCALED),
    declared(replicas=SCALED, rollout=PAUSED),
    declared("v1", "v2", "v3", replicas=SCALED, canary="v3"),
    declared("v1", "v2", "v3", replicas=SCALED, stable="v2", canary="v3"),
    declared(replicas=SCALED, stable="v2", canary=None),
    declared(replicas=SCALED, stable="v2", canary="v1"),
    declared("v2", "v3", stable="v2", canary=None),
    declared("v2", "v3", stable="v3", canary="v2"),
    declared("v3", stable="v3", canary=None),
    declared("v1", canary=None),
    declared(replicas=SCALED, rollout=None, traffic={"weight": 30.0}),
)
PROGRESSED = (Phase.STEP, Phase.PROMOTING, Phase.BAKING, Phase.FINISHING)

_EVENT = st.one_of(
    st.tuples(st.just("look"), st.integers(1, 25)),
    st.tuples(st.just("die"), st.booleans()),
    st.tuples(st.just("document"), st.integers(0, len(DOCUMENTS) - 1)),
    st.tuples(st.just("order"), st.sampled_from(list(Action))),
    st.tuples(st.just("ready"), st.sampled_from((None, {}, {"v1": 1}, {"v2": 9}, {"v1": 9, "v2": 1, "v3": 9}))),
    st.tuples(st.just("settled"), st.booleans()),
    st.tuples(st.just("unread"), st.booleans()),
    st.tuples(st.just("rates"), st.sampled_from(({}, {"v2": 0.3}, {"v1": 0.02, "v2": 0.02, "v3": 0.02}))),
    st.tuples(st.just("gateway starts again"), st.none()),
    st.tuples(st.just("fails"), st.sampled_from(("v1", "v2", "v3"))),
    st.tuples(st.just("checkpoint is lost"), st.sampled_from(("{", '{"rollout": 1}'))),
    st.tuples(st.just("looks"), st.just(650)),  # past a deadline
    st.tuples(st.just("wait"), st.sampled_from((30.0, 700.0, 4000.0, -50.0))),
    st.tuples(st.just("weight by hand"), st.sampled_from((0.0, 10.0, 100.0))),
)


class _Checked(RolloutHarness):
    """With what has to hold after each look."""

    def __init__(self, document: ModelDeployment) -> None:
        super().__init__(document, traffic=100_000)
        self.met = 0
        """Requests that any version had, by gateways' counts."""

    def look(self, *, dies: bool = False) -> Decision:
        before = self.known if self.stored is not None else Checkpoint()
        made = super().look(dies=dies)
        self._holds(before, made)
        return made

    def _holds(self, before: Checkpoint, made: Decision) -> None:
        roles, checkpoint = made.roles, made.checkpoint
        declared = self.document.by_name
        under = checkpoint.rollout is not None and checkpoint.rollout.phase not in OVER
        assert 0 <= roles.weight <= 100
        assert roles.stable in declared or (self.route is not None and roles.stable in self.route.by_name)
        assert roles.canary is None or roles.canary in declared
        assert roles.canary != roles.stable
        if self.document.spec.rollout is not None and not under:
            assert roles.weight == 0
        if roles.weight and self.document.spec.rollout is not None:
            assert checkpoint.rollout is not None
            assert checkpoint.rollout.phase in (Phase.STEP, Phase.PROMOTING, Phase.BAKING, Phase.WARMING)
            assert (roles.stable, roles.canary) == (checkpoint.rollout.trial.stable, checkpoint.rollout.trial.canary)
        if checkpoint.rollout is not None:
            self._is_earned(before, made)
            for evidence in checkpoint.rollout.evidence if under else ():
                assert evidence.canary_requests + evidence.stable_requests <= self.total
        if under and checkpoint.rollout is not None and checkpoint.rollout.trial.stable in declared:
            least, most = declared[checkpoint.rollout.trial.stable].replicas
            needed = min(most, checkpoint.base)
            assert made.floors.get(checkpoint.rollout.trial.stable, least) >= needed

    def _is_earned(self, before: Checkpoint, made: Decision) -> None:
        """No step is passed without evidence, but by a person's word."""
        after, old = made.checkpoint.rollout, before.rollout
        assert after is not None
        if old is None or old.number != after.number or after.phase not in PROGRESSED:
            return
        passed = after.phase is Phase.PROMOTING and old.phase is Phase.STEP
        if passed or (after.phase is Phase.STEP and after.step > old.step):
            by_hand = after.reason.startswith("promoted by hand") or after.plan != old.plan
            assert by_hand or (after.judgement is not None and after.judgement.verdict is Verdict.ADVANCE)

    @property
    def total(self) -> int:
        return self.met

    def _serve(self) -> None:
        before = sum(counts[0] for counts in self.counts.values())
        super()._serve()
        self.met += sum(counts[0] for counts in self.counts.values()) - before


def _happens(world: _Checked, what: str, detail: Any) -> None:
    match what:
        case "look":
            world.looks(detail)
        case "die":
            world.look(dies=True)
            if detail:  # and the one after it too
                world.look(dies=True)
        case "document":
            world.document = DOCUMENTS[detail]
        case "order":
            world.ask(detail)
        case "ready":
            world.ready = detail
        case "settled":
            world.more["settled"] = detail
        case "unread":
            world.more["unread"] = ("gateway 2",) if detail else ()
        case "rates":
            world.rates = dict(detail)
        case "gateway starts again":
            world.source += "'"
            world.counts = {}
        case "fails":
            failures = world.more.setdefault("failures", {})
            failures[detail] = (failures.get(detail, (0, ""))[0] + 1, "exit code 1")
        case "checkpoint is lost":
            world.stored = detail
        case "wait":
            world.now += detail
        case "looks":
            world.looks(detail)
        case "weight by hand" if world.route is not None and world.route.canary is not None:
            world.route = world.route.model_copy(update={"weight": detail, "epoch": world.route.epoch + 1})


def _calm(world: _Checked) -> None:
    """All is well from now on."""
    world.rates, world.ready, world.more = {}, None, {}
    world.action = None


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_EVENT, min_size=3, max_size=25))
def test_whatever_happens_no_step_is_passed_without_evidence_and_nothing_stops_for_ever(
    events: list[tuple[str, Any]],
) -> None:
    world = _Checked(DOCUMENTS[0])
    world.look()
    for what, detail in events:
        _happens(world, what, detail)
    _calm(world)
    world.looks(60)
    if world.known.rollout is not None and world.rollout.phase not in OVER:
        assert world.rollout.paused is not None
        world.ask(Action.ROLLBACK)
        world.until_phase(Phase.ROLLED_BACK)
    # A new version is tried, and a good one gets through.
    stable, number = world.split[0], world.rollout.number if world.known.rollout is not None else 0
    new = declared(stable, "v9", stable=stable, canary="v9", replicas=SCALED)
    world.document = new
    world.until(lambda: world.split == ("v9", None, 0), 300)
    world.until_phase(Phase.PROMOTED)
    assert world.rollout.number == number + 1
