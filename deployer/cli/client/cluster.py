"""A person's side of a rollout on a cluster: to read where it stands, and to ask for an action."""

from __future__ import annotations

import secrets
import time

from deployer.errors import TurnoutError
from deployer.kubernetes.api.client import ApiError, Client, Unreachable, configuration
from deployer.kubernetes.objects.kinds import MODEL_DEPLOYMENT, Object
from deployer.kubernetes.rollout import action_annotation
from deployer.kubernetes.status.model import DeploymentStatus, read
from deployer.rollout.state import Action

PATIENCE = 30.0
"""Seconds for the operator to take an action."""
POLL = 0.3


class OnCluster:
    """The ModelDeployment `name`, or `namespace/name`; without a namespace, in the one that the kubeconfig names."""

    def __init__(self, name: str, namespace: str | None, kubeconfig: str | None, context: str | None) -> None:
        """
        Raises:
            TurnoutError: there is no way to a cluster.
        """
        how, home = configuration(kubeconfig, context)
        within, _, self._name = name.rpartition("/")
        self._namespace = within or namespace or home
        self._client = Client(how)

    def status(self) -> DeploymentStatus:
        """How its rollouts stand.

        Raises:
            TurnoutError: there is no such ModelDeployment, or it can't be read.
        """
        return read(self._get().get("status", {}))

    def request(self, action: Action) -> DeploymentStatus:
        """Ask for an action on the spec as it is now; how its rollouts stand once it was taken.

        Raises:
            TurnoutError: it can't be written, was refused, or the operator has not looked at it.
        """
        text = action_annotation.written(action, self._get()["metadata"]["generation"], secrets.token_hex(4))
        try:
            self._client.annotate(MODEL_DEPLOYMENT, self._namespace, self._name, action_annotation.ANNOTATION, text)
        except (ApiError, Unreachable) as error:
            raise TurnoutError(f"{self._namespace}/{self._name} can't be annotated: {error}") from None
        end = time.monotonic() + PATIENCE
        while (status := self.status()).action is None or status.action.text != text:
            if time.monotonic() > end:
                raise TurnoutError(
                    f"the operator has not taken the action within {PATIENCE:.0f} s, and does once it runs: "
                    "kubectl get pods --selector app.kubernetes.io/component=operator --all-namespaces"
                )
            time.sleep(POLL)
        if status.action.refused:
            raise TurnoutError(status.action.refused)
        return status

    def _get(self) -> Object:
        try:
            found = self._client.get(MODEL_DEPLOYMENT, self._namespace, self._name)
        except (ApiError, Unreachable) as error:
            raise TurnoutError(f"{self._namespace}/{self._name} can't be read: {error}") from None
        if found is None:
            raise TurnoutError(
                f"there is no ModelDeployment {self._name} in {self._namespace}; "
                "kubectl get modeldeployments --all-namespaces shows all"
            )
        return found
