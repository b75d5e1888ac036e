"""The demo's verdict has to see what is wrong: each case is right but for one thing."""

from __future__ import annotations

import pytest

from examples.demo.clients import APIS
from examples.demo.figures import Figures
from examples.demo.load import Results
from examples.demo.verdict import problems

Counts = dict[tuple[str, str], int]


def _step(canary: int, total: int = 797) -> Counts:
    return {(api.protocol, version): n for api in APIS for version, n in (("v1", total - canary), ("v2", canary))}


def _problems(weight: float, answers: Counts, counted: Counts | None = None, *errors: str) -> list[str]:
    totals = Results()
    for key, number in answers.items():
        for _ in range(number):
            totals.answered(*key, right=True)
    for error in errors:
        totals.problem(error)
    figures = {key: Figures(requests=number) for key, number in (answers if counted is None else counted).items()}
    return list(problems(weight, totals, figures))


@pytest.mark.parametrize(("weight", "canary"), [(0, 0), (10, 80), (10, 60), (50, 398), (50, 440), (100, 797)])
def test_shares_within_their_bounds_are_right(weight: float, canary: int) -> None:
    assert _problems(weight, _step(canary)) == []


@pytest.mark.parametrize(("weight", "canary"), [(0, 1), (10, 40), (10, 130), (50, 300), (50, 500), (100, 796)])
def test_each_share_out_of_its_bounds_is_told(weight: float, canary: int) -> None:
    found = _problems(weight, _step(canary))
    assert len(found) == len(APIS)
    assert f"v2 gave {canary} of 797 answers, which is not {weight:g} %" in found[0]


def test_a_count_of_the_gateway_that_differs_is_told() -> None:
    answers = _step(80)
    (problem,) = _problems(10, answers, answers | {("seldon-grpc", "v2"): 81})
    assert problem == "Seldon gRPC: v2 gave 80 answers, and the gateway counted 81"


def test_errors_are_told_though_the_shares_are_right_the_first_in_words() -> None:
    found = _problems(10, _step(80), None, *(f"error {number}" for number in range(7)))
    assert found == ["error 0", "error 1", "error 2", "error 3", "error 4", "2 more requests went wrong"]
