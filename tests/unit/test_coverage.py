"""What counts as pure where coverage is measured: what the import contract holds so, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.coverage import is_pure, percents

CONTRACT = {
    "source_modules": ["gateway.wire", "gateway.refusal", "deployer.rollout", "deployer.runtimes"],
    "ignore_imports": [
        "deployer.rollout.status -> datetime",
        "deployer.rollout.providers.** -> *",
        "deployer.rollout.notify.webhook -> *",
        "deployer.runtimes.*.launcher -> *",
    ],
}


@pytest.mark.parametrize(
    ("path", "pure"),
    [
        ("gateway/wire/__init__.py", True),
        ("gateway/wire/http2/send.py", True),
        ("gateway/refusal.py", True),
        ("deployer/rollout/status.py", True),
        ("deployer/rollout/notify/cloudevent.py", True),
        ("deployer/runtimes/seldon/process.py", True),
        ("gateway/call.py", False),
        ("gateway/wires.py", False),
        ("deployer/rollout/providers/prometheus.py", False),
        ("deployer/rollout/notify/webhook.py", False),
        ("deployer/runtimes/seldon/launcher.py", False),
    ],
)
def test_what_is_pure(path: str, pure: bool) -> None:
    assert is_pure(path, CONTRACT) is pure


def test_files_are_summed_by_their_size() -> None:
    def file(lines: int, covered: int, branches: int, taken: int) -> dict[str, Any]:
        summary = {"num_statements": lines, "covered_lines": covered, "percent_covered": 7.0}
        return {"summary": {**summary, "num_branches": branches, "covered_branches": taken}}

    assert percents([file(10, 10, 0, 0), file(90, 80, 8, 6)]) == (90.0, 75.0)
