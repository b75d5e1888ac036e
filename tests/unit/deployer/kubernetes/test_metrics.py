from __future__ import annotations

from deployer.kubernetes.metrics import Metrics, RolloutFigures
from deployer.kubernetes.objects.kinds import Key


def test_rollouts_are_counted_by_phase_and_those_under_way_told_one_by_one() -> None:
    metrics = Metrics()
    found = {
        Key("vision", "digits"): RolloutFigures("step", True, 3.0),
        Key("vision", "letters"): RolloutFigures("rolled back", False, None),
        Key("audio", "words"): RolloutFigures("warming", False, None),
    }
    metrics.look(lambda: True, lambda: 0, list, dict, lambda: found)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("turnout_operator_rollout") and sample.value
    }
    assert samples == {
        ("turnout_operator_rollouts", "step"): 1,
        ("turnout_operator_rollouts", "warming"): 1,
        ("turnout_operator_rollouts", "rolled back"): 1,
        ("turnout_operator_rollout_overdue", "vision", "digits"): 1,
        ("turnout_operator_rollout_silence_seconds", "vision", "digits"): 3,
    }
