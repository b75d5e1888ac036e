"""The operator's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deployer.kubernetes.objects.kinds import Key
from deployer.kubernetes.status.model import Phase
from deployer.rollout import state


@dataclass(frozen=True)
class RolloutFigures:
    """Of one deployment's rollout that is under way, or was last. `silence`: seconds since its evidence was last read;
    None where nobody reads it, since it is over or another operator is the active one."""

    phase: str
    overdue: bool
    silence: float | None


class Metrics:
    """Counts as things happen; what can be looked up is looked up when it is asked for, see `look`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "turnout_operator_api_requests",
            "Requests to the API server. Outcome: ok, an HTTP status, or unreachable",
            ("verb", "kind", "outcome"),
            registry=self.registry,
        )
        self._request_seconds = prometheus_client.Histogram(
            "turnout_operator_api_request_seconds",
            "Until the head of the answer",
            ("verb",),
            registry=self.registry,
        )
        self._passes = prometheus_client.Counter(
            "turnout_operator_passes",
            "Looks at one ModelDeployment. Result: unchanged, changed, failed",
            ("result",),
            registry=self.registry,
        )
        self._pass_seconds = prometheus_client.Histogram(
            "turnout_operator_pass_seconds", "Time of one look, with all its writes", registry=self.registry
        )

    def requested(self, verb: str, kind: str, outcome: str, seconds: float) -> None:
        """A request to the API server has been answered, or not."""
        self._requests.labels(verb, kind, outcome).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def passed(self, result: str, seconds: float) -> None:
        """One ModelDeployment has been looked at."""
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)

    def look(
        self,
        leads: Callable[[], bool],
        waiting: Callable[[], int],
        phases: Callable[[], Sequence[str]],
        silences: Callable[[], dict[str, float]],
        rollouts: Callable[[], dict[Key, RolloutFigures]],
    ) -> None:
        """Where to look up the rest: whether this operator is the active one, the ModelDeployments that wait to be
        looked at, the phase of each, for each watch the seconds since it last told anything, and the rollouts."""
        self.registry.register(_Looked(leads, waiting, phases, silences, rollouts))


class _Looked(Collector):
    def __init__(
        self,
        leads: Callable[[], bool],
        waiting: Callable[[], int],
        phases: Callable[[], Sequence[str]],
        silences: Callable[[], dict[str, float]],
        rollouts: Callable[[], dict[Key, RolloutFigures]],
    ) -> None:
        self._leads = leads
        self._waiting = waiting
        self._phases = phases
        self._silences = silences
        self._rollouts = rollouts

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("turnout_operator_leader", "1 on the active operator", int(self._leads()))
        yield GaugeMetricFamily("turnout_operator_queue", "ModelDeployments waiting to be looked at", self._waiting())
        phases = GaugeMetricFamily("turnout_operator_deployments", "ModelDeployments by phase", labels=("phase",))
        counts = Counter(self._phases())
        for phase in get_args(Phase):
            phases.add_metric((phase,), counts[phase])
        yield phases
        silence = GaugeMetricFamily(
            "turnout_operator_watch_silence_seconds", "Since a watch last told anything", labels=("kind",)
        )
        for kind, seconds in self._silences().items():
            silence.add_metric((kind,), seconds)
        yield silence
        yield from self._of_rollouts()

    def _of_rollouts(self) -> Iterator[Metric]:
        found = self._rollouts()
        by_phase = GaugeMetricFamily(
            "turnout_operator_rollouts", "Deployments by their rollout's phase", labels=("phase",)
        )
        counts = Counter(figures.phase for figures in found.values())
        for phase in state.Phase:
            by_phase.add_metric((phase,), counts[phase])
        yield by_phase
        overdue = GaugeMetricFamily(
            "turnout_operator_rollout_overdue",
            "1 where a rollout can't go on within its deadline, 0 where one goes on",
            labels=("namespace", "deployment"),
        )
        silence = GaugeMetricFamily(
            "turnout_operator_rollout_silence_seconds",
            "Since all that a rollout goes by was last read",
            labels=("namespace", "deployment"),
        )
        for key, figures in found.items():
            if state.is_under_way(figures):
                overdue.add_metric(key, int(figures.overdue))
                if figures.silence is not None:
                    silence.add_metric(key, figures.silence)
        yield overdue
        yield silence
