from __future__ import annotations

import json

import pytest

from loadtests import report
from loadtests.generators import Load
from loadtests.report import Run, Runs


def run(requests: int = 1000, *, v2: int = 100, unnamed: int = 0, wrong: int = 0, cpu: float = 1.0) -> Run:
    versions = {"v1": requests - v2 - unnamed, "v2": v2, "": unnamed}
    return Run(Load(requests, 2.0, 1.5, 4.5, versions, wrong, {}), cpu)


def runs(**changed: list[Run]) -> Runs:
    direct = [run(v2=0, unnamed=1000, cpu=0.0)] * 2
    return {"direct": direct, "turnout": [run(cpu=0.5)] * 2, "envoy": [run()] * 2, **changed}


def test_the_ratio_is_of_requests_per_cpu_second() -> None:
    assert report.compare(runs()).mean == pytest.approx(2.0)


@pytest.mark.parametrize(("cpu", "verdict"), [(0.5, ": reached"), (0.9, ": NOT reached")])
def test_the_table_shows_each_peer_and_whether_the_goal_is_reached(cpu: float, verdict: str) -> None:
    shown = report.table("rest", runs(turnout=[run(cpu=cpu)] * 2))
    assert shown.startswith("REST over HTTP/1.1\n")
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["direct", "turnout", "envoy", "turnout"]
    assert shown.endswith(verdict)


def test_direct_has_no_figure_per_cpu() -> None:
    line = report.table("grpc", runs()).splitlines()[2]
    assert line.split()[:2] == ["direct", "-"]


def test_right_answers_in_the_right_split_are_no_fault() -> None:
    assert report.faults("rest", runs(), 0.1) == []


@pytest.mark.parametrize(
    ("turnout", "fault"),
    [
        (run(wrong=3), "rest turnout: 6 of 2000 answers were not the ones expected"),
        (run(unnamed=2), "rest turnout: 4 answers bear no x-turnout-version"),
        (run(v2=300), "rest turnout: the canary got 600 of 2000, not 10%"),
        (run(v2=0), "rest turnout: the canary got 0 of 2000, not 10%"),
    ],
)
def test_what_makes_figures_worthless_is_said(turnout: Run, fault: str) -> None:
    assert report.faults("rest", runs(turnout=[turnout] * 2), 0.1) == [fault]


def test_failed_requests_are_a_fault_of_direct_too() -> None:
    failed = Run(run().load._replace(errors={"Unavailable: gone": 7}), 0.0)
    assert report.faults("grpc", runs(direct=[failed, failed]), 0.1)[0] == "grpc direct: Unavailable: gone (14 times)"


def test_the_document_is_json_with_every_run() -> None:
    written = json.loads(json.dumps(report.document({"kernel": "6"}, {"seconds": 2}, {"rest": runs()})))
    assert written["protocols"]["rest"]["ratio"]["pairs"] == 2
    assert [one["per_cpu_second"] for one in written["protocols"]["rest"]["runs"]["turnout"]] == [2000, 2000]
