"""A Kubernetes cluster as processes of this machine: a real control plane, and two nodes that run pods as processes.

    cluster = Cluster.start(folder)
    cluster.kubectl("apply", "--filename", "-", input=json.dumps(document))
    enter(cluster.netns)                # from here on, this thread reaches Services and pods by their addresses
    cluster.stop()

Needs root, for namespaces.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kubernetes import client, config

from tests.cluster.rig import build, metrics_api, namespace
from tests.cluster.rig.certificates import Certificates
from tests.cluster.rig.namespace import enter
from tests.cluster.rig.processes import Process, inside

__all__ = ["Cluster", "CommandFailed", "enter"]

NODES = ("node-1", "node-2")
_ETCD = "http://127.0.0.1:2379"
_PORT = 6443
_SERVICE = "10.96.0.1"
"""Of the Service `kubernetes`: the first of the range."""
_PATIENCE = 120.0
"""Seconds until all has to be ready; some 10 on an idle machine."""


class CommandFailed(RuntimeError):
    """kubectl or helm ended with an error; the message is what it said."""


class Cluster:
    """One that runs. All that it writes, and a log of each process, lie in its folder."""

    def __init__(self, folder: Path) -> None:
        """Starts nothing yet: that is `start`."""
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig.json"
        """For use within the network namespace."""
        self.host_kubeconfig = folder / "host-kubeconfig.json"
        """For use on this machine outside of it."""
        self.netns: Path
        """The network namespace, for `enter`; its name is that of `ip netns`."""
        self._processes: dict[str, Process] = {}
        self._token = secrets.token_hex(16)

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        """Returns once the API server, both nodes and the metrics API are ready.

        `stop` ends it; so does the end of the thread that called.

        Raises:
            ToolMissing: a program isn't there and can't be built.
            RuntimeError: a part of it ended or didn't become ready in time; the message holds its log's end.
        """
        cluster = cls(folder.resolve())
        cluster._programs = build.control_plane()
        cluster._kubectl, cluster._helm = build.kubectl(), build.helm()
        cluster.folder.mkdir(parents=True, exist_ok=True)
        cluster.netns = namespace.make()
        atexit.register(cluster.stop)
        try:
            cluster._start()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    _programs: Path
    _kubectl: Path
    _helm: Path

    def stop(self) -> None:
        atexit.unregister(self.stop)
        for node in NODES:
            if node in self._processes:
                self._processes.pop(node).end()
        while self._processes:
            self._processes.popitem()[1].kill()
        if self.netns.exists():
            namespace.remove(self.netns)

    def check(self) -> None:
        """Raises RuntimeError, with its log's end, if a process of it runs no more."""
        for process in self._processes.values():
            process.check()

    def kubectl(self, *args: str, input: str | None = None) -> str:
        """What it printed. Raises CommandFailed."""
        return self._run(self._kubectl, args, input)

    def helm(self, *args: str) -> str:
        """What it printed. Raises CommandFailed."""
        return self._run(self._helm, args, None)

    def api(self) -> client.ApiClient:
        """For threads that have entered the namespace."""
        settings = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        return client.ApiClient(settings)

    def stop_api_server(self) -> None:
        """At once, as if its machine had failed. What it knew is there again when it starts again."""
        self._processes.pop("kube-apiserver").kill()

    def start_api_server(self) -> None:
        """Returns once it is ready. To be called by a thread that goes on: the API server ends when it does."""
        certificates = self._certificates
        self._run_program(
            "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--bind-address={namespace.ADDRESS}",
            f"--advertise-address={namespace.ADDRESS}",
            f"--secure-port={_PORT}",
            f"--tls-cert-file={certificates.certificate}",
            f"--tls-private-key-file={certificates.key}",
            f"--service-cluster-ip-range={namespace.SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            # The public half is read from a certificate as well as from a key.
            f"--service-account-key-file={certificates.authority}",
            f"--service-account-signing-key-file={certificates.signing_key}",
            f"--client-ca-file={certificates.authority}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
        )
        self._ready("kube-apiserver", "get", "--raw", "/readyz")

    def _start(self) -> None:
        names = "kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"
        metrics = f"{metrics_api.SERVICE}.{metrics_api.NAMESPACE}.svc"
        addresses = namespace.ADDRESS, _SERVICE, "127.0.0.1"
        self._certificates = Certificates(
            self.folder / "certificates",
            (*(f"DNS:{name}" for name in (*names, metrics)), *(f"IP:{address}" for address in addresses)),
        )
        self._run_process(
            "etcd",
            *(str(self._programs / "etcd"), "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD),
            *("--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "warn"),
        )
        (self.folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        self._write_kubeconfig(self.kubeconfig, f"{namespace.ADDRESS}:{_PORT}")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._write_kubeconfig(self.host_kubeconfig, f"127.0.0.1:{listener.getsockname()[1]}")
            number = listener.fileno()
            self._run_module("relay", str(number), namespace.ADDRESS, str(_PORT), pass_fds=(number,))
        self.start_api_server()
        self._start_controllers()
        self._run_module("service_proxy", str(self.kubeconfig))
        for number, node in enumerate(NODES, 1):
            folder = self.folder / "nodes" / node
            options = {"node": node, "cidr": f"10.244.{number}.0/24", "kubeconfig": self.kubeconfig, "folder": folder}
            self._run_module("agent", *(f"--{key}={value}" for key, value in options.items()), name=node)
        self._run_module(
            *("metrics_api", str(self.kubeconfig), str(self.folder / "nodes")),
            *(str(self._certificates.certificate), str(self._certificates.key)),
        )
        authority = base64.b64encode(self._certificates.authority.read_bytes()).decode()
        for one in metrics_api.objects(authority):
            self.kubectl("apply", "--filename", "-", input=json.dumps(one))
        for node in NODES:
            self._ready(node, "wait", "--for=condition=Ready", f"node/{node}")
        self._ready("kube-controller-manager", "get", "serviceaccount", "default")
        self._ready("metrics_api", "get", "--raw", f"/apis/{metrics_api.GROUP}/{metrics_api.VERSION}/pods")

    def _start_controllers(self) -> None:
        common = [f"--{kind}kubeconfig={self.kubeconfig}" for kind in ("", "authentication-", "authorization-")]
        common += ["--leader-elect=false", "--bind-address=127.0.0.1", f"--cert-dir={self.folder / 'certificates'}"]
        self._run_program(
            "kube-controller-manager",
            *common,
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self._certificates.signing_key}",
            f"--root-ca-file={self._certificates.authority}",
            # Longer than any test keeps the API server from the nodes: they are to be found as they were left.
            "--node-monitor-grace-period=300s",
            "--kube-api-qps=100",
            "--kube-api-burst=200",
            # Autoscalers in seconds, where a cluster's default is minutes.
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=5s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=2s",
            "--horizontal-pod-autoscaler-downscale-stabilization=10s",
        )
        self._run_program("kube-scheduler", *common)

    def _run_program(self, name: str, *args: str) -> None:
        self._run_process(name, str(self._programs / "controlplane"), name, *args)

    def _run_module(self, module: str, *args: str, name: str = "", pass_fds: tuple[int, ...] = ()) -> None:
        command = (sys.executable, "-m", f"tests.cluster.rig.{module}", *args)
        self._run_process(name or module, *command, pass_fds=pass_fds)

    def _run_process(self, name: str, *command: str, pass_fds: tuple[int, ...] = ()) -> None:
        self._processes[name] = Process(self.netns, self.folder / f"{name}.log", command, pass_fds)

    def _ready(self, name: str, *ask: str) -> None:
        """Wait until kubectl no longer fails, while the process `name` goes on."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.kubectl(*ask)
                return
            except CommandFailed as error:
                self._processes[name].check()
                if time.monotonic() > end:
                    raise RuntimeError(f"{name} is not ready after {_PATIENCE:.0f} s: {error}") from None
            time.sleep(0.1)

    def _run(self, program: Path, args: tuple[str, ...], input: str | None) -> str:
        # Nothing of the caller's: a proxy or a kubeconfig of theirs would lead elsewhere.
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBECONFIG": str(self.kubeconfig)}
        command = inside(self.netns, (str(program), *args))
        done = subprocess.run(command, input=input, env=env, capture_output=True, text=True)
        if done.returncode:
            raise CommandFailed(f"{program.name} {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _write_kubeconfig(self, file: Path, address: str) -> None:
        authority = str(self._certificates.authority)
        cluster: dict[str, Any] = {"server": f"https://{address}", "certificate-authority": authority}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "turnout", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "turnout", "context": {"cluster": "turnout", "user": "admin"}}],
            "current-context": "turnout",
        }
        file.write_text(json.dumps(content))
