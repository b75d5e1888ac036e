"""Flags and variables of the user's own that would move a server, or name its models, are refused; others are not."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.document.validation import examined


def problems(runtime: str, version: dict[str, Any], **spec: Any) -> list[str]:
    """What is said of the version's flags and variables."""
    data = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a"},
        "spec": {
            "runtime": runtime,
            "versions": [{"name": "v1", **version}],
            "traffic": {"stable": "v1"},
            **spec,
        },
    }
    return [problem.message for problem in examined(data)[1]]


MODEL, IMAGE = {"model": "models/a/1"}, {"image": "team/a:1"}
OTHER = {"oip": {"server": "other", "ports": {"rest": 8080, "grpc": 8081}}}


@pytest.mark.parametrize(
    ("runtime", "version", "spec", "taken"),
    [
        ("tfserving", {**MODEL, "args": ["--port=9000"]}, {}, ["--port"]),
        ("tfserving", {**MODEL, "args": ["-rest_api_port", "9000"]}, {}, ["-rest_api_port"]),
        ("tfserving", {**MODEL, "args": ["--model_config_file=/a", "--model_name=b"]}, {},
         ["--model_config_file", "--model_name"]),
        ("tfserving", {**MODEL, "args": ["--rest_api_num_threads=8", "--portable"]}, {}, []),
        ("triton", {**MODEL, "args": ["--http-port=1", "--model-repository=/a"]}, {},
         ["--http-port", "--model-repository"]),
        ("triton", {**IMAGE, "args": ["--model-repository=/a"]}, {}, []),  # it has its models in it
        ("seldon", {**IMAGE, "args": ["--workers", "2"], "env": {"GUNICORN_THREADS": "4"}}, {}, []),
        ("seldon", {**IMAGE, "env": {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "1"}}, {},
         ["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"]),
        ("oip", {**IMAGE, "env": {"MLSERVER_HTTP_PORT": "1", "MLSERVER_MODELS_DIR": "/a"}}, {},
         ["MLSERVER_HTTP_PORT"]),
        ("oip", {**MODEL, "env": {"MLSERVER_MODELS_DIR": "/a"}}, {}, ["MLSERVER_MODELS_DIR"]),
        ("oip", {**IMAGE, "env": {"MLSERVER_HTTP_PORT": "8080"}}, OTHER, []),
    ],
)  # fmt: skip
def test_what_is_turnouts_own(runtime: str, version: dict[str, Any], spec: dict[str, Any], taken: list[str]) -> None:
    assert problems(runtime, version, **spec) == [f"{name} is set by Turnout" for name in taken]


@pytest.mark.parametrize(
    ("name", "advice"),
    [(1.2, "write 1-2"), (12, 'write "12"'), ("V_1", "write v-1"), (True, 'write "true"'), ("1E5", 'write "1e5"')],
)
def test_a_name_that_is_advised_is_one(name: object, advice: str) -> None:
    data = {"kind": "ModelDeployment", "spec": {"versions": [{"name": name}]}}
    (problem,) = [one for one in examined(data)[1] if one.path == ("spec", "versions", 0, "name")]
    assert problem.hint == advice
