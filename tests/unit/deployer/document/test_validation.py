"""One mistake in a document at a time: which line, field, message and advice it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.document.loader import DocumentError, read

VALID = (Path(__file__).parents[3] / "fakes" / "documents" / "valid.yaml").read_text()
ROLLOUT = (Path(__file__).parents[3] / "fakes" / "documents" / "valid_rollout.yaml").read_text()

# Each row: what in VALID is replaced by what, and the one problem that this makes.
BAD: list[tuple[str, str, str]] = [
    # Misspelt, unknown and misplaced fields
    ("      model: models/digits/1\n", "      modle: models/digits/1\n",
     "9: spec.versions[0].modle: unknown field 'modle' (did you mean 'model'?)"),
    ("  runtime: tf", "  rutnime: tf",
     "6: spec.rutnime: unknown field 'rutnime' (did you mean 'runtime'?)"),
    ("metadata:", "metdata:",
     "3: metdata: unknown field 'metdata' (did you mean 'metadata'?)"),
    ("minReplicas: 1", "minreplicas: 1",
     "14: spec.versions[1].autoscaling.minreplicas: unknown field 'minreplicas' (did you mean 'minReplicas'?)"),
    ("minReplicas: 1", "min_replicas: 1",
     "14: spec.versions[1].autoscaling.min_replicas: unknown field 'min_replicas' (did you mean 'minReplicas'?)"),
    ("inFlight: 4", "inflght: 4",
     "14: spec.versions[1].autoscaling.target.inflght: unknown field 'inflght' (did you mean 'inFlight'?)"),
    ("spec:\n", "spec:\n  weight: 10\n",
     "6: spec.weight: unknown field 'weight' (it belongs in spec.traffic)"),
    ("spec:\n", "spec:\n  zzz: 10\n",
     "6: spec.zzz: unknown field 'zzz' (the fields here are runtime, seldon, oip, versions, traffic, timeout,"
     " maxMessageBytes, cors, rollout)"),
    ("      warmup:", '      "warm up":',
     '15: spec.versions[1]["warm up"]: unknown field \'warm up\' (did you mean \'warmup\'?)'),
    # Missing
    ("  name: digits\n", "  namespace: a\n",
     "3: metadata.name: name is missing (The deployment's name, which callers address: TensorFlow Serving's"
     " model name, Seldon's deployment name)"),
    ("  runtime: tfserving\n", "",
     "5: spec.runtime: runtime is missing (write runtime: tfserving or seldon or oip or triton)"),
    ("    stable: v1\n", "",
     "17: spec.traffic.stable: stable is missing (The version that answers what the canary does not)"),
    ("kind: ModelDeployment\n", "",
     "1: kind: kind is missing (write kind: ModelDeployment)"),
    ("maxReplicas: 4, ", "",
     "14: spec.versions[1].autoscaling.maxReplicas: maxReplicas is missing (Replicas that run at most,"
     " whatever the load)"),
    ("    canary: v2\n", "    canary:\n",
     "19: spec.traffic.canary: there is no value (write one, or leave the field out)"),
    ("  runtime: tfserving", "  runtime: ~",
     "6: spec.runtime: there is no value (write one, or leave the field out)"),
    # What this document is
    ("turnout.dev/v1alpha1", "turnout.dev/v1",
     "1: apiVersion: 'turnout.dev/v1' is not turnout.dev/v1alpha1 (write turnout.dev/v1alpha1)"),
    ("ModelDeployment", "ModelDeploymnet",
     "2: kind: 'ModelDeploymnet' is not ModelDeployment (write ModelDeployment)"),
    ("apiVersion: turnout.dev/v1alpha1\nkind: ModelDeployment",
     "apiVersion: apps/v1\nkind: Deployment",
     "2: kind: this is a Deployment of apps/v1, not a ModelDeployment (a ModelDeployment"
     " has apiVersion: turnout.dev/v1alpha1; keep other objects in files of their own)"),
    # Names
    ("name: digits", "name: My Digits",
     "4: metadata.name: 'My Digits' is not a name: 1 to 63 lower-case letters, digits and '-', no '-' at its"
     " ends (write my-digits)"),
    ("name: digits", "name: 2026",
     "4: metadata.name: 2026 is not a name: 1 to 63 lower-case letters, digits and '-', no '-' at its ends"
     ' (write "2026")'),
    ("name: digits", "name: [digits]",
     "4: metadata.name: a list of 1 items is not a name: 1 to 63 lower-case letters, digits and '-', no '-'"
     " at its ends ()"),
    ("  runtime: tfserving", "  runtime: tf-serving",
     "6: spec.runtime: 'tf-serving' is not tfserving or seldon or oip or triton (did you mean 'tfserving'?)"),
    ("  runtime: tfserving", "  runtime: TFServing",
     "6: spec.runtime: 'TFServing' is not tfserving or seldon or oip or triton (did you mean 'tfserving'?)"),
    ("  versions:\n", "  versions:\n    - {name: v1, model: m/9}\n",
     "9: spec.versions[1].name: two versions are called 'v1' (rename one)"),
    # Versions that traffic names
    ("stable: v1", "stable: v11",
     "18: spec.traffic.stable: no version is called 'v11' (did you mean 'v1'?)"),
    ("stable: v1", "stable: blue",
     "18: spec.traffic.stable: no version is called 'blue' (the versions are v1, v2)"),
    ("canary: v2", "canary: v1",
     "19: spec.traffic.canary: 'v1' is stable already (leave canary out, or name another)"),
    ("    canary: v2\n", "",
     "19: spec.traffic.weight: weight is the canary's share, and there is no canary (name one by canary:, or"
     " leave weight out)"),
    # Requests
    ("  traffic:", "  timeout: 0s\n  traffic:",
     "17: spec.timeout: 0s is not above 0 and at most 24h (write a time such as 5m)"),
    ("  traffic:", "  timeout: 25h\n  traffic:",
     "17: spec.timeout: 25h is not above 0 and at most 24h (write a time such as 5m)"),
    ("  traffic:", "  maxMessageBytes: 16Mi\n  traffic:",
     "17: spec.maxMessageBytes: '16Mi' is not a whole number from 1 to 2147483647 ()"),
    ("  traffic:", "  cors: {origins: [https://app.example.com/]}\n  traffic:",
     "17: spec.cors.origins[0]: 'https://app.example.com/' is not an origin such as https://app.example.com or"
     " http://localhost:3000, without a path, or * ()"),
    # Types and bounds
    ("weight: 10", 'weight: "ten"',
     "20: spec.traffic.weight: 'ten' is not a number from 0 to 100 ()"),
    ("weight: 10", 'weight: "10"',
     "20: spec.traffic.weight: '10' is not a number from 0 to 100 (write 10, without quotes)"),
    ("weight: 10", "weight: 10%",
     "20: spec.traffic.weight: '10%' is not a number from 0 to 100 (write 10, without quotes)"),
    ("weight: 10", "weight: 101",
     "20: spec.traffic.weight: 101 is not a number from 0 to 100 ()"),
    ("weight: 10", "weight: -1",
     "20: spec.traffic.weight: -1 is not a number from 0 to 100 ()"),
    ("weight: 10", "weight: true",
     "20: spec.traffic.weight: true is not a number from 0 to 100 ()"),
    ("weight: 10", "weight: 33.333",
     "20: spec.traffic.weight: 33.333 has more than two decimals (the nearest weight is 33.33)"),
    ("maxReplicas: 4", "maxReplicas: 2.5",
     "14: spec.versions[1].autoscaling.maxReplicas: 2.5 is not a whole number from 1 to 1000 ()"),
    ("minReplicas: 1", "minReplicas: 0",
     "14: spec.versions[1].autoscaling.minReplicas: 0 is not a whole number from 1 to 1000 ()"),
    ("minReplicas: 1", "minReplicas: 5",
     "14: spec.versions[1].autoscaling.maxReplicas: 4 is below minReplicas, 5 (write 5 or more)"),
    ("      autoscaling: {", "      autoscaling: 3 #",
     "14: spec.versions[1].autoscaling: 3 is not a mapping of minReplicas, maxReplicas, target ()"),
    ("cpu: 1", "cpu: 0.5",
     '13: spec.versions[1].resources.requests.cpu: 0.5 is not text or a whole number (put it in quotes: "0.5")'),
    ("cpu: 1", "cpu: half",
     '13: spec.versions[1].resources.requests.cpu: \'half\' is no amount of CPU (write cores ("2", "0.5") or'
     ' thousandths ("500m"))'),
    ("memory: 1Gi", "memory: 1GB",
     "13: spec.versions[1].resources.requests.memory: '1GB' is no amount of memory (write bytes with a unit,"
     ' such as "512Mi" or "2Gi")'),
    ("memory: 1Gi}", "memory: 2Gi}\n        limits: {memory: 1Gi}",
     "13: spec.versions[1].resources.requests.memory: 2Gi is above the limit of 1Gi (lower the request or"
     " raise the limit)"),
    ("warmup: {instances: [[0.5, null]]}", "warmup: [0.5]",
     "15: spec.versions[1].warmup: a list of 1 items is not a mapping ()"),
    ('OMP_NUM_THREADS: "1"', "OMP_NUM_THREADS: 1",
     '16: spec.versions[1].env.OMP_NUM_THREADS: 1 is not text of at most 4096 characters (put it in quotes: "1")'),
    ('OMP_NUM_THREADS: "1"', "1X: a",
     "16: spec.versions[1].env.1X: '1X' can't be a name here (use letters, digits and '_', not beginning with"
     " a digit)"),
    ("file://models/digits/2", "models/digits/new",
     "11: spec.versions[1].model: the model's folder is not named by a number, which TensorFlow Serving needs"
     " (write servable: 2 beside it, or use a folder such as models/digits/2)"),
    ("models/digits/2", "other/1",
     "11: spec.versions[1].model: servable 1 is version 'v1' already (give this version another number by"
     " servable:)"),
    ("file://models/digits/2", "ftp://models/digits/2",
     "11: spec.versions[1].model: ftp:// is no place of models (there are file://, gs://, http://, https://, pvc://,"
     " s3:// and paths such as models/digits/1)"),
    # What a runtime or a pod can't have
    ("      model: models/digits/1\n", "      image: a\n",
     "8: spec.versions[0].model: tfserving needs a model (write model: and a SavedModel's folder)"),
    ("  versions:\n", "  seldon: {}\n  versions:\n",
     "7: spec.seldon: only the runtime seldon has this, and the runtime is tfserving (leave it out)"),
    ("inFlight: 4", "cpu: 7000",
     "14: spec.versions[1].autoscaling.target.cpu: 7000 is not a whole number from 1 to 1000 ()"),
    ("target: {inFlight: 4}", "target: {}",
     "14: spec.versions[1].autoscaling.target: it has no load (write inFlight: or cpu:, or leave target out)"),
    ("      env:", "      pod: {volumes: [{path: /a, pcv: a}]}\n      env:",
     "16: spec.versions[1].pod.volumes[0].pcv: unknown field 'pcv' (did you mean 'pvc'?)"),
    ("      env:", "      pod: {volumes: [{path: a, pvc: a}]}\n      env:",
     "16: spec.versions[1].pod.volumes[0].path: 'a' is not an absolute path, without ':' and without '/' at its end"
     " ()"),
    ("      env:", "      image: my image\n      env:",
     "16: spec.versions[1].image: 'my image' is not the name of an image, which has no spaces ()"),
    ("      env:", "      pod: {serviceAccount: Reader}\n      env:",
     "16: spec.versions[1].pod.serviceAccount: 'Reader' is not the name of an object: lower-case letters, digits,"
     " '-' and '.', none of those two at its ends ()"),
    ("      env:", "      args: [--enable_batching=true, --rest_api_port=8080]\n      env:",
     "16: spec.versions[1].args[1]: --rest_api_port is set by Turnout (leave it out)"),
    # Not yet
    ("      env:", "      pod: {labels: {a: b}}\n      env:",
     "16: spec.versions[1].pod.labels: labels is not supported yet by this release (leave it out)"),
    ("      env:", "      pod: {annotations: {a: b}}\n      env:",
     "16: spec.versions[1].pod.annotations: annotations is not supported yet by this release (leave it out)"),
    ("stable: v1", "stable: v1\n    shadow: [{version: v2}]",
     "19: spec.traffic.shadow: shadow is not supported yet by this release (leave it out)"),
    ("metadata:", "status: {}\nmetadata:",
     "3: status: status is written by Turnout, not by hand (leave it out)"),
    # YAML
    ("    stable: v1\n", "    stable: v1\n    stable: v1\n",
     "19: spec.traffic.stable: 'stable' stands twice (it is on line 18 already)"),
    ("  runtime:", "\truntime:",
     "6: : not YAML: found character '\\t' that cannot start any token (indent with spaces; YAML takes no tabs)"),
    ("name: digits", "name: digits: new",
     "4: : not YAML: mapping values are not allowed here (quote a text that holds ': ', and check how the"
     " line is indented)"),
    ("weight: 10", "weight: !percent 10",
     "20: spec.traffic.weight: the tag !percent is not supported (write the plain value)"),
    ("weight: 10", "weight: *share",
     "20: spec.traffic.weight: *share names no anchor above it (write &share at the value it repeats)"),
    ("weight: 10", "weight: .inf",
     "20: spec.traffic.weight: .inf is not a number that JSON can hold (quote it, if it is text)"),
    ("weight: 10\n", "weight: 10\n---\n- 1\n",
     "22: : this is a list, not a ModelDeployment (begin with apiVersion: turnout.dev/v1alpha1 and kind:"
     " ModelDeployment)"),
    ("weight: 10\n", "weight: 10\n---\nhello\n",
     "22: : this is a single value, not a ModelDeployment (begin with apiVersion: turnout.dev/v1alpha1 and"
     " kind: ModelDeployment)"),
]  # fmt: skip

# The same of ROLLOUT.
BAD_ROLLOUTS: list[tuple[str, str, str]] = [
    # Who gets the canary
    ("{header: x-user-id}", "{}",
     "13: spec.traffic.sticky: it names no header or cookie (write one of them)"),
    ("{header: x-user-id}", "{header: x-user-id, cookie: User}",
     "13: spec.traffic.sticky.cookie: it names a header and a cookie (write one header or cookie)"),
    ("x-user-id", "X-User-Id",
     "13: spec.traffic.sticky.header: 'X-User-Id' is not the name of a header in lower case (write x-user-id)"),
    ("header: x-user-id", "cookie: User Id",
     "13: spec.traffic.sticky.cookie: 'User Id' is not the name of a cookie ()"),
    ("x-cohort: beta", "X-Cohort: beta",
     "15: spec.traffic.match[0].header.X-Cohort: 'X-Cohort' can't be a name here (use the name of a header in lower"
     " case)"),
    ("x-cohort: beta", "x-cohort: grün",
     "15: spec.traffic.match[0].header.x-cohort: 'gr\\xfcn' is not a header's value: up to 256 printable ASCII"
     " characters ()"),
    ("{x-cohort: beta}", "{}",
     "15: spec.traffic.match[0].header: an empty mapping is not a mapping of 1 to 8 names ()"),
    ("version: v2", "version: v22",
     "16: spec.traffic.match[0].version: no version is called 'v22' (did you mean 'v2'?)"),
    ("    sticky:", "    weight: 10\n    sticky:",
     "13: spec.traffic.weight: the rollout moves the weight (leave it out; or leave rollout out, and move it by"
     " hand)"),
    # Steps
    ("[1, 5, 25, 50]", "[1, 5, 50, 25]",
     "18: spec.rollout.steps[3]: 25 does not rise above the step before it, 50 (order the steps from least to most,"
     " each once)"),
    ("[1, 5, 25, 50]", "[5, 5, 50]",
     "18: spec.rollout.steps[1]: 5 does not rise above the step before it, 5 (order the steps from least to most,"
     " each once)"),
    ("[1, 5, 25, 50]", "[5, 50, 100]",
     "18: spec.rollout.steps[2]: 100 is not a number from 0.01 to 99.99 ()"),
    ("[1, 5, 25, 50]", "[0.001, 5, 50]",
     "18: spec.rollout.steps[0]: 0.001 is not a number from 0.01 to 99.99 ()"),
    ("[1, 5, 25, 50]", "[0.123, 5, 50]",
     "18: spec.rollout.steps[0]: 0.123 has more than two decimals (the nearest weight is 0.12)"),
    ("at: 50", "at: 40",
     "24: spec.rollout.pauses[1].at: 40 is none of the steps (those are 1, 5, 25, 50)"),
    ("    steps: [1, 5, 25, 50]\n", "    steps: [5]\n",
     "24: spec.rollout.pauses[1].at: 50 is none of the steps (those are 5)"),
    ("at: 50", "at: 5",
     "24: spec.rollout.pauses[1].at: the step of 5 has a pause already (leave one of the two out)"),
    # Times
    ("interval: 60s", "interval: 60",
     "19: spec.rollout.interval: 60 is not a time such as 500ms, 60s, 10m or 1h (write 60s)"),
    ("interval: 60s", "interval: 1 min",
     "19: spec.rollout.interval: '1 min' is not a time such as 500ms, 60s, 10m or 1h ()"),
    ("interval: 60s", "interval: 61m",
     "20: spec.rollout.deadline: a step takes 61m at least, and is overdue after 1h (write a deadline that is longer"
     " than the interval)"),
    ("interval: 60s\n    deadline: 1h", "interval: 1h",
     "19: spec.rollout.interval: a step takes 1h at least, and is overdue after 1h (write a deadline that is longer"
     " than the interval)"),
    ("for: 30m", "fro: 30m",
     "23: spec.rollout.pauses[0].fro: unknown field 'fro' (did you mean 'for'?)"),
    # Objectives
    ("margin: 2, max: 0.05", "margin: 1",
     "26: spec.rollout.objectives.errors.margin: 1 is not a number from 1.1 to 100 ()"),
    ("max: 0.05", "max: 5",
     "26: spec.rollout.objectives.errors.max: 5 is not a number from 0.0001 to 0.99 ()"),
    ("{over: 50ms}", "{margin: 2}",
     "27: spec.rollout.objectives.slow.over: over is missing (An answer that takes longer is slow)"),
    ("over: 50ms", "over: 0s",
     "27: spec.rollout.objectives.slow.over: each answer takes longer than that (write a time such as 50ms)"),
    ("min: 0.9}", "}",
     "30: spec.rollout.objectives.metrics[0]: any value would be good (write min:, max: or both)"),
    ("min: 0.9}", "min: 0.9, max: 0.8}",
     "30: spec.rollout.objectives.metrics[0].max: 0.8 is below min, 0.9 (write 0.9 or more)"),
    ("min: 0.9}", "min: high}",
     "30: spec.rollout.objectives.metrics[0].min: 'high' is not a number ()"),
    ("min: 0.9}", "webhook: https://example.com, min: 0.9}",
     "30: spec.rollout.objectives.metrics[0].webhook: it names a query and a webhook (write one query or webhook)"),
    ("query: avg(accuracy), ", "",
     "30: spec.rollout.objectives.metrics[0]: it names no query or webhook (write one of them)"),
    ("name: accuracy", "name: errors",
     "30: spec.rollout.objectives.metrics[0].name: there is an objective called 'errors' already (rename this one)"),
    ("    evidence:", "        - {name: accuracy, query: a, min: 1}\n    evidence:",
     "31: spec.rollout.objectives.metrics[1].name: there is an objective called 'accuracy' already (rename this one)"),
    ("    evidence:", "      agreement: 0.98\n    evidence:",
     "31: spec.rollout.objectives.agreement: agreement is not supported yet by this release (leave it out)"),
    # Evidence
    ("evidence: gateways", "evidence: prometheus",
     "31: spec.rollout.evidence: Prometheus can't tell keys apart, and traffic.sticky makes each key's requests alike"
     " (write evidence: gateways, or leave sticky out)"),
    ("evidence: gateways", "queries: {bad: up}",
     "31: spec.rollout.queries: these are for Prometheus, which isn't asked (leave them out, or write evidence:"
     " prometheus)"),
    ("evidence: gateways", "evidence: gateway",
     "31: spec.rollout.evidence: 'gateway' is not gateways or prometheus (did you mean 'gateways'?)"),
    ("https://example.com/events", "example.com/events",
     "33: spec.rollout.notify: 'example.com/events' is not an address that begins with http:// or https:// ()"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem"), BAD, ids=[row[2].split(" (")[0] for row in BAD])
def test_one_mistake(old: str, new: str, problem: str, tmp_path: Path) -> None:
    _one_mistake(VALID, old, new, problem, tmp_path)


@pytest.mark.parametrize(("old", "new", "problem"), BAD_ROLLOUTS, ids=[row[2].split(" (")[0] for row in BAD_ROLLOUTS])
def test_one_mistake_of_a_rollout(old: str, new: str, problem: str, tmp_path: Path) -> None:
    _one_mistake(ROLLOUT, old, new, problem, tmp_path)


def _one_mistake(valid: str, old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in valid
    file = tmp_path / "document.yaml"
    file.write_text(valid.replace(old, new, 1))
    with pytest.raises(DocumentError) as caught:
        read([str(file)], models=False)
    (found,) = caught.value.problems
    assert f"{found.line}: {found.path}: {found.message} ({found.hint})" == problem


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('OMP_NUM_THREADS: "1"', "OMP_NUM_THREADS: true",
         '16: spec.versions[1].env.OMP_NUM_THREADS: true is not text of at most 4096 characters'
         ' (put it in quotes: "true")'),
        ("      env:", "      args: {verbose: 1}\n      env:",
         '16: spec.versions[1].args: a mapping is not a list of 0 to 64 items (begin each item with "- ")'),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_told_how_to_write_it(old: str, new: str, problem: str, tmp_path: Path) -> None:
    _one_mistake(VALID, old, new, problem, tmp_path)
