from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.status.version_health import (
    Trouble,
    VersionFacts,
    look,
    ready_endpoints,
    rest_address,
)

LABELS = {"turnout.dev/version": "v1"}


def workload(replicas: int = 2, generation: int = 1, **status: Any) -> dict[str, Any]:
    reported = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, **status}
    return {
        "kind": "Deployment",
        "metadata": {"labels": LABELS, "generation": generation},
        "spec": {"replicas": replicas},
        "status": reported,
    }


def pod(deleted: bool = False, conditions: Any = (), **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": LABELS, **({"deletionTimestamp": "now"} if deleted else {})},
        "status": {
            "conditions": list(conditions),
            "containerStatuses": [{"name": "server", "image": "x:1", "ready": False, "restartCount": 0, **container}],
        },
    }


def piece(*addresses: str, ready: bool | None = True, service: str = "digits-v1") -> dict[str, Any]:
    endpoints = [{"addresses": [a], "conditions": {} if ready is None else {"ready": ready}} for a in addresses]
    return {"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints}


def facts(found: Any = None, pods: Any = (), slices: Any = ()) -> VersionFacts:
    return look("v1", "digits-v1", [found or workload()], slices, pods)


def test_endpoints_are_counted_once_and_only_those_that_answer() -> None:
    slices = [
        piece("10.0.0.1", "10.0.0.2"),
        piece("10.0.0.2", ready=None),
        piece("10.0.0.3", ready=False),
        piece("10.0.0.4", service="digits-v2"),
        {"metadata": {"labels": {"kubernetes.io/service-name": "digits-v1"}}, "endpoints": None},
    ]
    assert ready_endpoints("digits-v1", slices) == {"10.0.0.1", "10.0.0.2"}
    assert facts(slices=slices).ready == 2


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        (workload(), True),
        (workload(generation=2), False),
        (workload(replicas=3, updatedReplicas=1), False),
        (workload(replicas=0), False),
        ({**workload(), "status": {}}, False),
    ],
)
def test_settled_is_what_no_pod_is_replaced_in(found: dict[str, Any], settled: bool) -> None:
    assert facts(found).settled is settled


ENDED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no model\n"}}
PODS: dict[str, tuple[dict[str, Any], Trouble | None]] = {
    "it starts": (pod(state={"waiting": {"reason": "ContainerCreating"}}), None),
    "an image that is not there": (
        pod(state={"waiting": {"reason": "ErrImagePull", "message": "Back-off 10s"}}),
        Trouble("ImagePullBackOff", "the image x:1 of container server can't be pulled"),
    ),
    "a secret that is not there": (
        pod(state={"waiting": {"reason": "CreateContainerConfigError", "message": "secret x not found"}}),
        Trouble("CreateContainerConfigError", "container server can't be started: secret x not found"),
    ),
    "one crash": (pod(restartCount=1, lastState=ENDED), None),
    "crashes": (
        pod(restartCount=5, lastState=ENDED),
        Trouble("CrashLoopBackOff", "container server ends again and again, with exit code 1 (Error): no model"),
    ),
    "it crashed once upon a time": (pod(restartCount=5, ready=True, lastState=ENDED), None),
    "it leaves": (pod(deleted=True, restartCount=5, lastState=ENDED), None),
}


@pytest.mark.parametrize("case", PODS)
def test_what_keeps_pods_from_running(case: str) -> None:
    found, trouble = PODS[case]
    assert facts(pods=[found]).trouble == trouble


FAILURES: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "it runs": (pod(ready=True, state={"running": {}}), (0, "")),
    "it has ended for the first time": (
        pod(state=ENDED),
        (1, "container server ended with exit code 1 (Error): no model"),
    ),
    "it was started again": (
        pod(restartCount=2, ready=True, state={"running": {}}, lastState=ENDED),
        (2, "container server ended with exit code 1 (Error): no model"),
    ),
    "it waits to be": (
        pod(restartCount=2, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ENDED),
        (3, "container server ended with exit code 1 (Error): no model"),
    ),
    "it had no memory": (
        pod(restartCount=1, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        (1, "container server ended with exit code 137 (OOMKilled)"),
    ),
    "it leaves": (pod(deleted=True, restartCount=5, lastState=ENDED), (0, "")),
}


@pytest.mark.parametrize("case", FAILURES)
def test_how_often_its_containers_have_ended(case: str) -> None:
    found, failures = FAILURES[case]
    assert facts(pods=[found]).failures == failures


def test_of_all_containers_the_one_that_failed_most_counts_and_the_last_says_why() -> None:
    def ended(at: str, code: int) -> dict[str, Any]:
        return pod(
            restartCount=1, lastState={"terminated": {"exitCode": code, "finishedAt": f"2026-01-01T00:00:{at}Z"}}
        )

    assert facts(pods=[ended("02", 2), ended("01", 1)]).failures == (
        1,
        "container server ended with exit code 2 (Error)",
    )
    first = pod(ready=True)
    first["status"]["initContainerStatuses"] = [
        {
            "name": "model",
            "image": "x:1",
            "restartCount": 1,
            "state": {"terminated": {"exitCode": 0}},
            "lastState": ENDED,
        }
    ]
    assert facts(pods=[first]).failures == (1, "container model ended with exit code 1 (Error): no model")


def test_the_scheduler_s_words_are_passed_on() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert facts(pods=[pod(conditions=[condition])]).unschedulable == "0/3 nodes"
    assert facts(pods=[pod(deleted=True, conditions=[condition])]).unschedulable is None


def test_a_rollout_that_gets_nowhere_is_trouble() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert facts(workload(conditions=[condition])).trouble == Trouble("ProgressDeadlineExceeded", "timed out")
    # Said of the generation before, it is no longer so.
    assert facts(workload(generation=2, conditions=[condition])).trouble is None


@pytest.mark.parametrize(("state", "settled"), [("Available", True), ("Creating", False), ("Failed", False)])
def test_seldons_word_is_taken(state: str, settled: bool) -> None:
    status = {"state": state, "deploymentStatus": {"a": {"replicas": 2}}, "description": "no such image"}
    seldon = {"kind": "SeldonDeployment", "metadata": {"labels": LABELS}, "status": status}
    found = facts(seldon)
    assert (found.desired, found.settled) == (2, settled)
    assert found.trouble == (Trouble("SeldonFailed", "no such image") if state == "Failed" else None)


def with_ports(piece: dict[str, Any], **ports: int) -> dict[str, Any]:
    return {**piece, "ports": [{"name": name, "port": port} for name, port in ports.items()]}


@pytest.mark.parametrize(
    ("slices", "address"),
    [
        ([], None),
        ([piece("10.0.0.1")], None),
        ([{**piece("10.0.0.1"), "ports": None}], None),
        ([with_ports(piece("10.0.0.1"), grpc=8500)], None),
        ([with_ports(piece("10.0.0.1", ready=False), rest=8501)], None),
        ([with_ports(piece("10.0.0.1", service="digits-v2"), rest=8501)], None),
        ([with_ports(piece("10.0.0.2", "10.0.0.1"), grpc=8500, rest=8501)], ("10.0.0.1", 8501)),
        (
            [with_ports(piece("10.0.0.1", ready=False), rest=1), with_ports(piece("10.0.0.2"), rest=2)],
            ("10.0.0.2", 2),
        ),
    ],
)
def test_a_server_behind_a_service_is_found(slices: list[dict[str, Any]], address: tuple[str, int] | None) -> None:
    assert rest_address("digits-v1", slices) == address


def test_conditions_that_are_no_trouble_are_none() -> None:
    conditions = [
        {"type": "Progressing", "status": "True"},
        {"type": "Available", "status": "False"},
        {"type": "ReplicaFailure", "status": "False"},
    ]
    assert facts(workload(conditions=conditions)).trouble is None


def test_a_pod_that_has_its_node_is_not_unschedulable() -> None:
    others = [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}]
    assert facts(pods=[pod(conditions=others)]).unschedulable is None
