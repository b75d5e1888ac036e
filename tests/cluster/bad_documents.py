"""Documents that can't be carried out: what is wrong with each, and the field that whoever applies it is told."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

TFSERVING: dict[str, Any] = {
    "runtime": "tfserving",
    "versions": [{"name": "v1", "model": "models/digits/1"}, {"name": "v2", "model": "models/digits/2"}],
    "traffic": {"stable": "v1", "canary": "v2", "weight": 10},
}
SELDON: dict[str, Any] = {
    "runtime": "seldon",
    "versions": [{"name": "v1", "image": "test/digits:1"}],
    "traffic": {"stable": "v1"},
}
ROLLOUT: dict[str, Any] = {
    "runtime": "tfserving",
    "versions": [{"name": "v1", "model": "models/digits/1"}, {"name": "v2", "model": "models/digits/2"}],
    "traffic": {"stable": "v1", "canary": "v2"},
    "rollout": {"steps": [5, 25, 50]},
}
OIP: dict[str, Any] = {
    "runtime": "oip",
    "versions": [{"name": "v1", "model": "s3://models/digits/1"}],
    "traffic": {"stable": "v1"},
}

WHOLE: tuple[dict[str, Any], ...] = (
    {
        "runtime": "tfserving",
        "versions": [
            {
                "name": "v1",
                "model": "gs://models/digits",
                "image": "tensorflow/serving:2.19.1",
                "args": ["--enable_batching=true"],
                "servable": 2**63 - 1,
                "resources": {
                    "requests": {"cpu": 2, "memory": "1.5Gi"},
                    "limits": {"cpu": "2500m", "memory": 4294967296, "gpu": 1},
                },
                "autoscaling": {"minReplicas": 1, "maxReplicas": 1000, "target": {"inFlight": 0.5}},
                "warmup": {"instances": [[0.5, None, {"b64": "AA=="}]], "signature_name": "serving_default"},
                "env": {"OMP_NUM_THREADS": "1"},
                "pod": {
                    "nodeSelector": {"example.com/gpu": "a100"},
                    "tolerations": [
                        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
                        {"key": "example.com/gpu", "operator": "Equal", "value": "a100"},
                    ],
                    "serviceAccount": "models.reader",
                    "pullSecrets": ["registry"],
                    "envFrom": [{"secret": "bucket"}, {"configMap": "settings"}],
                    "volumes": [
                        {"path": "/data/a", "secret": "a"},
                        {"path": "/data/b", "configMap": "b", "readOnly": True},
                        {"path": "/data/c", "pvc": "c", "readOnly": False},
                    ],
                },
            },
            {
                "name": "v2",
                "model": "pvc://models/digits/2",
                "resources": {"requests": {"cpu": "500m"}},
                "autoscaling": {"maxReplicas": 2, "target": {"cpu": 70}},
            },
        ],
        "traffic": {
            "stable": "v1",
            "canary": "v2",
            "weight": 0.01,
            "sticky": {"header": "x-user-id"},
            "match": [{"header": {"x-cohort": "beta", "x-'odd'": ""}, "version": "v2"}],
        },
    },
    {
        "runtime": "tfserving",
        "versions": [{"name": "v1", "model": "models/digits/1"}, {"name": "v2", "model": "models/digits/2"}],
        "traffic": {"stable": "v1", "canary": "v2", "weight": 0, "sticky": {"cookie": "UserID"}},
        "rollout": {
            "steps": [0.01, 1.5, 99.99],
            "interval": "500ms",
            "deadline": "1.5h",
            "bake": "0s",
            "pauses": [{"at": 1.5, "for": "30m"}, {"at": 99.99}],
            "objectives": {
                "errors": {"margin": 1.1, "max": 0.05, "negligible": 0.01},
                "rejections": {"margin": 1.5, "max": 0.99, "negligible": 0},
                "slow": {"over": "50ms", "margin": 100, "max": 0.0001, "negligible": 0.5},
                "metrics": [
                    {"name": "accuracy", "query": 'avg(accuracy{version="{canary}"})', "min": 0.9},
                    {"name": "cost", "webhook": "http://costs.example.com/now?a=b", "min": -1e9, "max": 1.5},
                ],
            },
            "evidence": "gateways",
            "allowSignatureChange": True,
            "notify": "https://user:password@example.com/events",
        },
    },
    {
        "runtime": "tfserving",
        "versions": [{"name": "v1", "model": "models/digits/1"}],
        "traffic": {"stable": "v1"},
        "rollout": {"evidence": "prometheus", "queries": {"requests": "sum(a)", "bad": "sum(b) by (signal)"}},
    },
    {
        "runtime": "seldon",
        "seldon": {"operator": False, "protocol": "v2"},
        "versions": [
            {"name": "v1", "model": "s3://models/iris", "implementation": "SKLEARN_SERVER"},
            {"name": "v2", "image": "test/iris@sha256:abc"},
        ],
        "traffic": {"stable": "v1"},
    },
    {
        "runtime": "oip",
        "oip": {"server": "other", "ports": {"rest": 8080, "grpc": 8081, "metrics": 8082}},
        "versions": [{"name": "v1", "image": "test/iris"}],
        "traffic": {"stable": "v1", "weight": 0},
        "timeout": "24h",
        "maxMessageBytes": 2147483647,
        "cors": {"origins": ["https://app.example.com", "http://[::1]:3000", "*"]},
    },
    {
        "runtime": "triton",
        "versions": [{"name": "v1", "model": "https://example.com/digits.tar", "servable": 3}],
        "traffic": {"stable": "v1"},
    },
    {
        "runtime": "oip",
        "versions": [{"name": "v1", "model": "s3://models/iris", "implementation": "mlserver_sklearn.SKLearnModel"}],
        "traffic": {"stable": "v1"},
    },
)
"""Specs that are right, with each field of the document in one of them."""

NOTHING = object()
"""In the place of a value: the field is taken away."""


class Bad(NamedTuple):
    """A spec with one mistake."""

    spec: dict[str, Any]
    """The spec before the change."""
    path: str
    """Of the field that is changed: versions/0/name."""
    value: object
    words: tuple[str, ...]
    """What the refusal has to say, among it the field's name."""
    name: str = "bad"

    def document(self) -> dict[str, Any]:
        """The whole document."""
        spec = copy.deepcopy(self.spec)
        change(spec, self.path, self.value)
        return document(self.name, spec)


def document(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A ModelDeployment."""
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def change(spec: dict[str, Any], path: str, value: object) -> None:
    """Set the field at `path` of `spec`, whose parents are made where they are missing."""
    *parents, last = path.split("/")
    part: Any = spec
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name, {})
    if value is NOTHING:
        del part[last]
    elif isinstance(part, list) and int(last) == len(part):
        part.append(value)
    else:
        part[int(last) if isinstance(part, list) else last] = value


_VOLUMES = "versions/0/pod/volumes"
_TOLERATIONS = "versions/0/pod/tolerations"
_METRICS = "rollout/objectives/metrics"

REFUSED: tuple[Bad, ...] = (
    # Names
    Bad(TFSERVING, "traffic/weight", 10, ("metadata.name", "no '.'"), "digits.v1"),
    Bad(TFSERVING, "traffic/weight", 10, ("metadata.name", "63"), "d" * 64),
    Bad(TFSERVING, "versions/0/name", "V1", ("spec.versions[0].name",)),
    Bad(TFSERVING, "versions/0/name", "", ("spec.versions[0].name",)),
    Bad(TFSERVING, "versions/1/name", "v1", ("spec.versions[1]", "Duplicate value", "name")),
    # Misspelt, missing, of the wrong kind
    Bad(TFSERVING, "versions/0/modle", "models/digits/1", ("spec.versions[0].modle", "unknown field")),
    Bad(TFSERVING, "traffic/shadow", [{"version": "v2"}], ("spec.traffic.shadow", "unknown field")),
    Bad(TFSERVING, "runtime", NOTHING, ("spec.runtime", "Required value")),
    Bad(TFSERVING, "runtime", "tf-serving", ("spec.runtime", '"tfserving"')),
    Bad(TFSERVING, "traffic", NOTHING, ("spec.traffic", "Required value")),
    Bad(TFSERVING, "traffic/stable", NOTHING, ("spec.traffic.stable", "Required value")),
    Bad(TFSERVING, "versions", [], ("spec.versions", "at least 1")),
    Bad(TFSERVING, "versions/0/servable", "1", ("spec.versions[0].servable", "integer")),
    Bad(TFSERVING, "versions/0/servable", 0, ("spec.versions[0].servable", "greater than or equal to 1")),
    Bad(TFSERVING, "versions/0/warmup", [1], ("spec.versions[0].warmup", "object")),
    Bad(TFSERVING, "versions/0/image", "my image", ("spec.versions[0].image",)),
    # Where models lie
    Bad(TFSERVING, "versions/0/model", NOTHING, ("spec.versions", "write model:")),
    Bad(TFSERVING, "versions/0/model", "ftp://models/1", ("spec.versions[0].model", "s3://")),
    Bad(TFSERVING, "versions/0/model", "models/new", ("spec.versions", "write servable:")),
    Bad(TFSERVING, "versions/1/model", "other/1", ("spec.versions", "servable")),
    Bad(TFSERVING, "versions/1/servable", 1, ("spec.versions", "servable")),
    Bad(SELDON, "versions/0/image", NOTHING, ("spec.versions", "model: or image:")),
    # What belongs to another runtime
    Bad(TFSERVING, "seldon", {"operator": True}, ("spec.seldon", "leave it out")),
    Bad(TFSERVING, "oip", {"server": "mlserver"}, ("spec.oip", "leave it out")),
    Bad(TFSERVING, "versions/0/implementation", "SKLEARN_SERVER", ("spec.versions", "implementation")),
    Bad(SELDON, "versions/0/servable", 1, ("spec.versions", "servable")),
    Bad(SELDON, "versions/0", {"name": "v1", "model": "s3://m/1", "implementation": "SKLEARN"},
        ("spec.versions", "implementation", "SKLEARN_SERVER")),
    Bad(SELDON, "versions/0/implementation", "SKLEARN_SERVER", ("spec.versions", "implementation", "model:")),
    Bad(SELDON, "seldon/protocol", "grpc", ("spec.seldon.protocol", '"tensorflow"')),
    Bad(OIP, "oip/server", "other", ("spec.oip.ports", "ports")),
    Bad(OIP, "oip", {"server": "other", "ports": {"rest": 8080, "grpc": 8081}}, ("spec.versions", "write image:")),
    Bad(OIP | {"oip": {"server": "other", "ports": {"rest": 8080, "grpc": 8081}}}, "versions/0",
        {"name": "v1", "model": "s3://m/1", "image": "test/iris", "implementation": "a.B"},
        ("spec.versions", "implementations")),
    Bad(OIP, "oip/ports", {"rest": 8080, "grpc": 8080}, ("spec.oip.ports", "same port")),
    Bad(OIP, "oip/ports", {"rest": 0, "grpc": 8080}, ("spec.oip.ports.rest",)),
    # Traffic
    Bad(TFSERVING, "traffic/stable", "v3", ("spec.traffic.stable", "v3")),
    Bad(TFSERVING, "traffic/canary", "v3", ("spec.traffic.canary", "v3")),
    Bad(TFSERVING, "traffic/canary", "v1", ("spec.traffic.canary", "stable already")),
    Bad(TFSERVING, "traffic/canary", NOTHING, ("spec.traffic.weight", "no canary")),
    Bad(TFSERVING, "traffic/weight", 101, ("spec.traffic.weight", "100")),
    Bad(TFSERVING, "traffic/weight", "10", ("spec.traffic.weight", "number")),
    Bad(TFSERVING, "traffic/weight", 33.333, ("spec.traffic.weight", "two decimals")),
    Bad(TFSERVING, "traffic/weight", 1e-9, ("spec.traffic.weight", "two decimals")),
    Bad(TFSERVING, "traffic/sticky", {}, ("spec.traffic.sticky", "header and cookie")),
    Bad(TFSERVING, "traffic/sticky", {"header": "a", "cookie": "b"}, ("spec.traffic.sticky", "only one")),
    Bad(TFSERVING, "traffic/sticky", {"header": "X-User"}, ("spec.traffic.sticky.header",)),
    Bad(TFSERVING, "traffic/sticky", {"cookie": "a b"}, ("spec.traffic.sticky.cookie",)),
    Bad(TFSERVING, "traffic/match", [{"header": {"X-Cohort": "beta"}, "version": "v2"}],
        ("spec.traffic.match[0].header", "lower case")),
    Bad(TFSERVING, "traffic/match", [{"header": {"x-cohort": "grün"}, "version": "v2"}],
        ("spec.traffic.match[0].header.x-cohort",)),
    Bad(TFSERVING, "traffic/match", [{"header": {}, "version": "v2"}], ("spec.traffic.match[0].header", "at least 1")),
    Bad(TFSERVING, "traffic/match", [{"header": {"a": "b"}, "version": "v3"}], ("spec.traffic.match", "name one")),
    # Requests
    Bad(TFSERVING, "timeout", 60, ("spec.timeout", "string")),
    Bad(TFSERVING, "timeout", "0s", ("spec.timeout", "5m")),
    Bad(TFSERVING, "timeout", "25h", ("spec.timeout", "24h")),
    Bad(TFSERVING, "maxMessageBytes", 0, ("spec.maxMessageBytes", "greater than or equal to 1")),
    Bad(TFSERVING, "cors", {}, ("spec.cors.origins", "Required value")),
    Bad(TFSERVING, "cors", {"origins": ["app.example.com"]}, ("spec.cors.origins[0]",)),
    # Rollouts
    Bad(ROLLOUT, "traffic/weight", 10, ("spec.traffic.weight", "the rollout moves the weight")),
    Bad(ROLLOUT, "rollout/steps", [], ("spec.rollout.steps", "at least 1")),
    Bad(ROLLOUT, "rollout/steps", [5, 50, 25], ("spec.rollout.steps", "from least to most")),
    Bad(ROLLOUT, "rollout/steps", [5, 5], ("spec.rollout.steps", "from least to most")),
    Bad(ROLLOUT, "rollout/steps", [5, 100], ("spec.rollout.steps[1]", "from 0.01 to 99.99")),
    Bad(ROLLOUT, "rollout/steps", [0.125], ("spec.rollout.steps[0]", "two decimals")),
    Bad(ROLLOUT, "rollout/pauses", [{"at": 10}], ("spec.rollout.pauses", "none of the steps")),
    Bad(ROLLOUT, "rollout", {"pauses": [{"at": 10}]}, ("spec.rollout.pauses", "none of the steps")),
    Bad(ROLLOUT, "rollout/pauses", [{"at": 5}, {"at": 5, "for": "1m"}], ("spec.rollout.pauses", "two pauses")),
    Bad(ROLLOUT, "rollout/interval", "1 min", ("spec.rollout.interval",)),
    Bad(ROLLOUT, "rollout/interval", "1h", ("spec.rollout.deadline", "longer")),
    Bad(ROLLOUT, "rollout/deadline", "60s", ("spec.rollout.deadline", "longer")),
    Bad(ROLLOUT, "rollout/objectives", {"errors": {"margin": 1}}, ("spec.rollout.objectives.errors.margin", "1.1")),
    Bad(ROLLOUT, "rollout/objectives", {"errors": {"max": 5}}, ("spec.rollout.objectives.errors.max", "0.99")),
    Bad(ROLLOUT, "rollout/objectives", {"errors": {"negligible": 1}},
        ("spec.rollout.objectives.errors.negligible", "0.5")),
    Bad(ROLLOUT, "rollout/objectives", {"slow": {}}, ("spec.rollout.objectives.slow.over", "Required value")),
    Bad(ROLLOUT, "rollout/objectives", {"slow": {"over": "0ms"}}, ("spec.rollout.objectives.slow.over", "50ms")),
    Bad(ROLLOUT, "rollout/objectives", {"agreement": 0.98}, ("spec.rollout.objectives.agreement", "unknown field")),
    Bad(ROLLOUT, _METRICS, [{"name": "a", "query": "b"}], ("spec.rollout.objectives.metrics[0]", "min, max or both")),
    Bad(ROLLOUT, _METRICS, [{"name": "a", "min": 1}], ("spec.rollout.objectives.metrics[0]", "query and webhook")),
    Bad(ROLLOUT, _METRICS, [{"name": "a", "query": "b", "webhook": "http://c", "min": 1}],
        ("spec.rollout.objectives.metrics[0]", "only one")),
    Bad(ROLLOUT, _METRICS, [{"name": "a", "query": "b", "min": 2, "max": 1}],
        ("spec.rollout.objectives.metrics[0].max", "below min")),
    Bad(ROLLOUT, _METRICS, [{"name": "slow", "query": "b", "min": 2}],
        ("spec.rollout.objectives.metrics[0].name", "rename")),
    Bad(ROLLOUT, _METRICS, [{"name": "a", "query": "b", "min": 2}, {"name": "a", "query": "c", "min": 2}],
        ("spec.rollout.objectives.metrics[1]", "Duplicate value")),
    Bad(ROLLOUT, "rollout/evidence", "metrics", ("spec.rollout.evidence", '"prometheus"')),
    Bad(ROLLOUT, "rollout/queries", {"bad": "up"}, ("spec.rollout.queries", "Prometheus")),
    Bad(ROLLOUT | {"traffic": {"stable": "v1", "canary": "v2", "sticky": {"header": "a"}}}, "rollout/evidence",
        "prometheus", ("spec.rollout.evidence", "sticky")),
    Bad(ROLLOUT, "rollout/notify", "example.com", ("spec.rollout.notify",)),
    # Replicas and what each may use
    Bad(TFSERVING, "versions/0/autoscaling", {"minReplicas": 3, "maxReplicas": 2},
        ("spec.versions[0].autoscaling.maxReplicas", "minReplicas")),
    Bad(TFSERVING, "versions/0/autoscaling", {"minReplicas": 3},
        ("spec.versions[0].autoscaling.maxReplicas", "Required value")),
    Bad(TFSERVING, "versions/0/autoscaling", {"maxReplicas": 2, "target": {}},
        ("spec.versions[0].autoscaling.target", "inFlight", "cpu")),
    Bad(TFSERVING, "versions/0/autoscaling", {"maxReplicas": 2, "target": {"inFlight": 2, "cpu": 70}},
        ("spec.versions[0].autoscaling.target", "only one")),
    Bad(TFSERVING, "versions/0/autoscaling", {"maxReplicas": 2, "target": {"cpu": 70}},
        ("spec.versions[0].autoscaling.target.cpu", "resources.requests.cpu")),
    Bad(TFSERVING, "versions/0/autoscaling", {"maxReplicas": 2, "target": {"inFlight": 0}},
        ("spec.versions[0].autoscaling.target.inFlight", "from 0.1 to 10000")),
    Bad(TFSERVING, "versions/0/resources/requests/cpu", "half", ("spec.versions[0].resources.requests.cpu",)),
    Bad(TFSERVING, "versions/0/resources/requests/cpu", 0.5, ("spec.versions[0].resources.requests.cpu",)),
    Bad(TFSERVING, "versions/0/resources/limits/memory", "1GB", ("spec.versions[0].resources.limits.memory",)),
    Bad(TFSERVING, "versions/0/resources/requests/gpu", 1, ("spec.versions[0].resources.requests.gpu", "limits.gpu")),
    # What pods need
    Bad(TFSERVING, "versions/0/env", {"1A": "x"}, ("spec.versions[0].env", "digit")),
    Bad(TFSERVING, "versions/0/env", {"A": 1}, ("spec.versions[0].env.A", "string")),
    Bad(TFSERVING, "versions/0/pod/envFrom", [{}], ("spec.versions[0].pod.envFrom[0]", "secret and configMap")),
    Bad(TFSERVING, _VOLUMES, [{"path": "/data"}], (
        "spec.versions[0].pod.volumes[0]", "pvc")),
    Bad(TFSERVING, _VOLUMES, [{"path": "/data", "pvc": "a", "secret": "b"}],
        ("spec.versions[0].pod.volumes[0]", "only one")),
    Bad(TFSERVING, _VOLUMES, [{"path": "data", "pvc": "a"}], ("spec.versions[0].pod.volumes[0].path",)),
    Bad(TFSERVING, _VOLUMES, [{"path": "/proc/a", "pvc": "a"}],
        ("spec.versions[0].pod.volumes[0].path", "mount it elsewhere")),
    Bad(TFSERVING, _VOLUMES, [{"path": "/a", "pvc": "a"}, {"path": "/a", "pvc": "b"}],
        ("spec.versions[0].pod.volumes[1]", "Duplicate value", "path")),
    Bad(TFSERVING, "versions/0/pod/serviceAccount", "Reader", ("spec.versions[0].pod.serviceAccount",)),
    Bad(TFSERVING, _TOLERATIONS, [{"operator": "Exists", "value": "a"}],
        ("spec.versions[0].pod.tolerations[0].value",)),
    Bad(TFSERVING, _TOLERATIONS, [{"value": "a"}], ("spec.versions[0].pod.tolerations[0].key",)),
    Bad(TFSERVING, _TOLERATIONS, [{"key": "a", "value": "b", "tolerationSeconds": 5}],
        ("spec.versions[0].pod.tolerations[0].tolerationSeconds",)),
)  # fmt: skip
"""What the API server refuses."""

ANSWERED: tuple[Bad, ...] = (
    Bad(TFSERVING, "versions/0/resources/requests/cpu", "0", ("spec.versions[0].resources.requests.cpu", "nothing")),
    Bad(TFSERVING, "versions/0/resources/requests/memory", "0Gi",
        ("spec.versions[0].resources.requests.memory", "nothing")),
    Bad(TFSERVING, "versions/0/resources", {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}},
        ("spec.versions[0].resources.requests.cpu", "limit of 1500m")),
    Bad(TFSERVING, "versions/0/resources", {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}},
        ("spec.versions[0].resources.requests.memory", "limit of 1G")),
    Bad(TFSERVING, "versions/0/args", ["--port=9000"], ("spec.versions[0].args[0]", "--port is set by Turnout")),
    Bad(SELDON, "versions/0/env", {"PREDICTIVE_UNIT_SERVICE_PORT": "9000"},
        ("spec.versions[0].env.PREDICTIVE_UNIT_SERVICE_PORT", "is set by Turnout")),
)  # fmt: skip
"""What the API server can't see, and the operator answers by the condition Accepted, False for InvalidSpec."""

FIXED: tuple[Bad, ...] = (
    Bad(SELDON, "runtime", "oip", ("spec.runtime", "can't be changed")),
    Bad(TFSERVING, "versions/0/model", "retrained/1", ("spec.versions[0].model", "another name")),
    Bad(TFSERVING, "versions/0/servable", 7, ("spec.versions[0].servable", "another name")),
    Bad(SELDON, "versions/0/model", "s3://models/digits/1", ("spec.versions[0].model", "another name")),
)
"""Changes of a deployment that the API server refuses; each would do for a new one."""

ALLOWED: tuple[tuple[dict[str, Any], str, object], ...] = (
    (SELDON, "versions/0/image", "test/digits:2"),
    (TFSERVING, "traffic/weight", 33.33),
    (TFSERVING, "versions/2", {"name": "v3", "model": "models/digits/3"}),
    (TFSERVING, "versions/0/warmup", {"instances": [[0.5, None]]}),
    (TFSERVING, "versions/0/pod", {"volumes": [{"path": "/models", "pvc": "models"}], "nodeSelector": {"a": "b"}}),
)
"""Changes of a deployment that are taken."""
