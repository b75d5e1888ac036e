"""A person's side of a rollout on a cluster: to read where it stands, and to give it orders."""

from __future__ import annotations

import secrets

from deployer.errors import TurnoutError
from deployer.kubernetes import orders
from deployer.kubernetes.client import ApiError, Client, Unreachable, configuration
from deployer.kubernetes.kinds import MODEL_DEPLOYMENT, Object
from deployer.kubernetes.status import DeploymentStatus, read
from deployer.rollout.state import Order


class Rollouts:
    """Those of one namespace; None: of the one that the kubeconfig names."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None) -> None:
        """
        Raises:
            TurnoutError: there is no way to a cluster.
        """
        how, home = configuration(kubeconfig, context)
        self._client = Client(how)
        self._namespace = namespace or home

    def status(self, name: str) -> DeploymentStatus:
        """Where it stands. `rollout` of it is None where there has been none.

        Raises:
            TurnoutError: there is no such ModelDeployment, or it can't be read.
        """
        return read(self._get(name).get("status", {}))

    def give(self, name: str, order: Order) -> str:
        """Give the order to the spec as it is now. What becomes of it stands in `status.order`, by the text that is
        returned.

        Raises:
            TurnoutError: there is no such ModelDeployment, or it can't be written.
        """
        text = orders.written(order, self._get(name)["metadata"]["generation"], secrets.token_hex(4))
        try:
            self._client.annotate(MODEL_DEPLOYMENT, self._namespace, name, orders.ANNOTATION, text)
        except (ApiError, Unreachable) as error:
            raise TurnoutError(f"the order for {self._namespace}/{name} can't be written: {error}") from None
        return text

    def _get(self, name: str) -> Object:
        try:
            found = self._client.get(MODEL_DEPLOYMENT, self._namespace, name)
        except (ApiError, Unreachable) as error:
            raise TurnoutError(f"the ModelDeployment {self._namespace}/{name} can't be read: {error}") from None
        if found is None:
            raise TurnoutError(f"there is no ModelDeployment {self._namespace}/{name}; kubectl get md --all-namespaces")
        return found
