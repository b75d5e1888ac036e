"""What a container of the rig finds around it: volumes, variables, names, its rights, and its image's files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.rig.cluster import Cluster
from tests.cluster.space import WEB, Object, Space, deployment, shell
from tests.fakes.turnout import until

pytestmark = pytest.mark.cluster


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    space = Space(cluster)
    yield space
    cluster.kubectl("delete", "namespace", space.name, "--wait=false")


def test_volumes_are_where_the_pod_wants_them(space: Space, tmp_path: Path) -> None:
    claim = f"{space.name}-claim"
    space.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1", "b": "2"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"word": "abc"}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": claim},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "hostPath": {"path": str(tmp_path)},
                "claimRef": {"namespace": space.name, "name": "claim"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "claim"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": claim,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    volumes = [
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "b", "path": "deep/b"}]}},
        {"name": "hidden", "secret": {"secretName": "hidden"}},
        {"name": "shared", "emptyDir": {}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}},
        {
            "name": "about",
            "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
    ]
    mounts = [
        {"name": "settings", "mountPath": "/etc/settings"},
        {"name": "hidden", "mountPath": "/etc/hidden"},
        {"name": "shared", "mountPath": "/srv/shared", "readOnly": True},
        {"name": "claim", "mountPath": "/data"},
        {"name": "about", "mountPath": "/etc/about"},
    ]
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "BOTH", "value": "$(WORD)/$(C_a)"},
    ]
    script = """
    cat /etc/settings/deep/b /etc/hidden/word /srv/shared/first /etc/about/labels > /data/seen
    for file in /etc/settings/new /srv/shared/new; do (echo > $file) || echo "$file: no" >> /data/seen; done
    echo "$IP $MEMORY $BOTH $(hostname)" >> /data/seen
    touch /data/done
    sleep 1000
    """
    first = {**shell("printf first > /srv/shared/first"), "name": "first"}
    first["volumeMounts"] = [{"name": "shared", "mountPath": "/srv/shared"}]
    main = {**shell(script), "volumeMounts": mounts, "env": env, "resources": {"limits": {"memory": "64Mi"}}}
    main["envFrom"] = [{"prefix": "C_", "configMapRef": {"name": "settings"}}]
    space.pod(main, volumes=volumes, initContainers=[first])
    until((tmp_path / "done").exists, "the container has looked")
    address = space.get("pod", "one")["status"]["podIP"]
    assert (tmp_path / "seen").read_text().splitlines() == [
        '2abcfirstapp="one"/etc/settings/new: no',
        "/srv/shared/new: no",
        f"{address} 64 abc/1 one",
    ]
    space.cluster.kubectl("delete", "pod", "one", "--namespace", space.name, "--grace-period=1")
    assert (tmp_path / "seen").exists()
    space.cluster.kubectl("delete", "pvc", "claim", "--namespace", space.name)
    space.cluster.kubectl("delete", "pv", claim)


def test_a_pod_reaches_the_api_server_as_its_service_account(space: Space, tmp_path: Path) -> None:
    program = """
import pathlib
from kubernetes import client, config
config.load_incluster_config()
review = client.AuthenticationV1Api().create_self_subject_review({})
pathlib.Path("/out/user").write_text(review.status.user_info.username)
"""
    container: Object = {"image": "test/http", "command": [sys.executable, "-c", program]}
    container["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    space.pod(container, restartPolicy="Never", volumes=volumes)
    until(lambda: space.get("pod", "one")["status"]["phase"] == "Succeeded", "the program has ended well")
    assert (tmp_path / "user").read_text() == f"system:serviceaccount:{space.name}:default"


def test_a_pod_reaches_a_service_by_its_name(space: Space, tmp_path: Path) -> None:
    web, service = deployment(1, WEB)
    service["spec"] = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    space.apply(web, service)
    (pod,) = space.ready(1)
    program = f"""
import pathlib, time, urllib.request
while True:
    try:
        answer = urllib.request.urlopen("http://web.{space.name}.svc", timeout=5).read()
        break
    except OSError:
        time.sleep(0.1)
pathlib.Path("/out/answer").write_bytes(answer)
"""
    container: Object = {"image": "test/http", "command": [sys.executable, "-c", program]}
    container["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    space.pod(container, restartPolicy="Never", volumes=volumes)
    until(lambda: space.get("pod", "one")["status"]["phase"] == "Succeeded", "the program has ended well")
    assert json.loads((tmp_path / "answer").read_text())["pod"] == pod["metadata"]["name"]


def test_a_container_is_confined_as_its_security_context_says(space: Space, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    program = "import os; print(os.getuid(), os.getgid(), os.getgroups())"
    script = f"{sys.executable} -c '{program}' > /out/seen; touch /new || echo no >> /out/seen; touch /out/done"
    container = {**shell(script), "volumeMounts": [{"name": "out", "mountPath": "/out"}]}
    container["securityContext"] = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    security = {"runAsNonRoot": True, "runAsUser": 1234, "runAsGroup": 1235, "fsGroup": 1236}
    space.pod(container, restartPolicy="Never", volumes=volumes, securityContext=security)
    until((tmp_path / "done").exists, "the container has looked")
    assert (tmp_path / "seen").read_text() == "1234 1235 [1235, 1236]\nno\n"

    space.pod(shell("true"), name="root", securityContext={"runAsNonRoot": True})
    waiting = until(lambda: space.container("root").get("state", {}).get("waiting", {}).get("message"), "it is refused")
    assert "runAsNonRoot" in waiting


@pytest.mark.parametrize(
    ("container", "user", "port", "path"),
    [
        pytest.param(
            {
                "image": "tensorflow/serving:2.19.0",
                "command": ["tensorflow_model_server"],
                "args": ["--rest_api_port=8501", "--model_name=digits", "--model_base_path=/models/digits"],
                "securityContext": {"readOnlyRootFilesystem": True},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            },
            65532,
            8501,
            "/v1/models/digits/versions/2/metadata",
            id="tfserving",
        ),
        pytest.param({"image": "test/digits-seldon:v1"}, 8888, 9000, "/health/status", id="seldon"),
        pytest.param(
            {
                "image": "seldonio/mlserver:1.7.1",
                "env": [
                    {"name": "MLSERVER_METRICS_DIR", "value": "/tmp/metrics"},
                    {"name": "MLSERVER_ENVIRONMENTS_DIR", "value": "/tmp/environments"},
                    {"name": "MLSERVER_MODELS_DIR", "value": "/tmp"},
                ],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            },
            1000,
            8080,
            "/v2/health/ready",
            id="mlserver",
        ),
    ],
)
def test_model_servers_start_from_their_images_as_users_without_rights(
    space: Space, container: Object, user: int, port: int, path: str
) -> None:
    probe = {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "timeoutSeconds": 5}
    security = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user}
    volumes = [{"name": "tmp", "emptyDir": {}}]
    space.pod({**container, "readinessProbe": probe}, securityContext=security, volumes=volumes)
    space.ready(1)
    assert space.container()["restartCount"] == 0
