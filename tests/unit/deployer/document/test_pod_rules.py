"""The rules of a version's pod, on what may be any data still."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.document.pod_rules import broken_pod
from deployer.document.values import Path

EXECUTE = {"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}


@pytest.mark.parametrize(
    ("pod", "violations"),
    [
        ({}, []),
        ({"tolerations": ["all", {"operator": "Exists"}, EXECUTE]}, []),
        (
            {"tolerations": [{"operator": "Exists", "value": "a"}, {"value": "a"}]},
            [(("tolerations", 0, "value"), "Exists takes any value"),
             (("tolerations", 1, "key"), "there is no key to compare the value of")],
        ),
        (
            {"tolerations": [{**EXECUTE, "effect": "NoSchedule"}]},
            [(("tolerations", 0, "tolerationSeconds"), "only NoExecute ends pods after a time")],
        ),
        ({"volumes": [{"secret": "a", "path": 5}, {"pvc": "b", "path": "/data"}, {"pvc": "b"}]}, []),
        (
            {"volumes": [{"secret": "a", "path": "/x"}, {"pvc": "b", "path": "/x"}]},
            [(("volumes", 1, "path"), "volumes[0] is mounted at /x already")],
        ),
        (
            {"volumes": [{"pvc": "a", "path": "/dev/shm"}, {"pvc": "b", "path": "/devices"}]},
            [(("volumes", 0, "path"), "/dev is taken, by the system or by Turnout")],
        ),
    ],
)  # fmt: skip
def test_rules(pod: dict[str, Any], violations: list[tuple[Path, str]]) -> None:
    assert [(violation.path, violation.message) for violation in broken_pod(pod, ())] == violations
