"""The edge to the API server: raw JSON over the `kubernetes` package's connection and credentials.

Not over its generated models: they would cost several times the memory and time for 1,000 deployments, and would drop
fields that are newer than they are.

What the operator may ask for, and its role has to allow (nothing else is asked):

| Resource | Verbs |
|---|---|
| turnout.dev modeldeployments | get, list, watch |
| turnout.dev modeldeployments/status | update |
| turnout.dev modeldeployments/finalizers | update (never asked; what `blockOwnerDeletion` needs on OpenShift) |
| configmaps, services; apps deployments; policy poddisruptionbudgets; autoscaling horizontalpodautoscalers;
  keda.sh scaledobjects; machinelearning.seldon.io seldondeployments | get, list, watch, create, patch, delete |
| pods; discovery.k8s.io endpointslices | list, watch |
| events (the core group) | create |
| in the operator's own namespace, coordination.k8s.io leases | create; for `turnout-operator` get, update |
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from deployer.errors import TurnoutError
from deployer.kubernetes.objects.kinds import Kind, Object

FIELD_MANAGER = "turnout"
TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
"""Seconds for an answer that is no watch."""
PAGE = 500
"""Objects that a list brings at a time: what Kubernetes' own clients use."""
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Observer = Callable[[str, str, str, float], None]
"""Told of each request: its verb, kind, outcome (`ok`, a status, `unreachable`) and seconds."""


class ApiError(Exception):
    """The API server refused. `reason` is Kubernetes' own word, such as `Conflict`."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unreachable(OSError):
    """No answer from the API server."""


class Client:
    """One API server. May be used by several threads."""

    def __init__(self, configuration: Configuration, observer: Observer = lambda *request: None) -> None:
        # One for each watch, and some for what is asked meanwhile.
        configuration.connection_pool_maxsize = 32
        self._api = ApiClient(configuration)
        self._observer = observer

    def list_all(self, kind: Kind, namespace: str | None, selector: str = "") -> tuple[list[Object], str]:
        """All objects, and the resource version that they are of.

        Raises:
            ApiError: 404 where there is no such kind; 410 where a later page is no longer to be had.
            Unreachable: no answer.
        """
        found: list[Object] = []
        query = {"labelSelector": selector, "limit": str(PAGE)}
        while True:
            page = self._ask("list", "GET", kind, kind.path(namespace), query)
            found += page["items"]
            if not (more := page["metadata"].get("continue")):
                return found, page["metadata"]["resourceVersion"]
            query["continue"] = more

    def watch(
        self, kind: Kind, namespace: str | None, version: str, *, selector: str, duration: int, silence: float
    ) -> Iterator[Object]:
        """Changes since resource version `version`, bookmarks among them, for about `duration` seconds.

        Raises:
            ApiError: refused, or broken off by an event of type ERROR; 410: `version` is too old.
            Unreachable: the connection broke, or brought nothing for `silence` seconds.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(duration),
            "labelSelector": selector,
        }
        timeout = urllib3.Timeout(connect=5.0, read=silence)
        response = self._send("watch", "GET", kind, kind.path(namespace), query, timeout=timeout, whole=False)
        try:
            for event in _lines(response):
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"])
                yield event
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"the watch of {kind.plural} broke off: {error}") from error
        finally:
            response.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None if there is none.

        Raises:
            ApiError, Unreachable
        """
        try:
            return self._ask("get", "GET", kind, kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, kind: Kind, resource: Object, *, force: bool, dry_run: bool = False) -> Object:
        """Server-side apply, as FIELD_MANAGER; without `force` another manager's field is a Conflict.

        With `dry_run` nothing is changed: the answer is what the object would be.

        Raises:
            ApiError, Unreachable
        """
        metadata = resource["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        path = kind.path(metadata["namespace"], metadata["name"])
        return self._ask("apply", "PATCH", kind, path, query, resource, "application/apply-patch+yaml")

    def create(self, kind: Kind, resource: Object) -> Object:
        """
        Raises:
            ApiError: 409 where one of that name is there; Unreachable.
        """
        path = kind.path(resource["metadata"]["namespace"])
        return self._ask("create", "POST", kind, path, {"fieldManager": FIELD_MANAGER}, resource)

    def replace(self, kind: Kind, resource: Object, subresource: str | None = None) -> Object:
        """Put the object, or its subresource, in place of the one with the same resource version.

        Raises:
            ApiError: 409 where it has changed since; Unreachable.
        """
        path = kind.path(resource["metadata"]["namespace"], resource["metadata"]["name"], subresource)
        return self._ask("update", "PUT", kind, path, {"fieldManager": FIELD_MANAGER}, resource)

    def annotate(self, kind: Kind, namespace: str, name: str, annotation: str, text: str) -> None:
        """Set one annotation, whatever else has changed. People's commands do it, with their own rights.

        Raises:
            ApiError, Unreachable
        """
        patch = {"metadata": {"annotations": {annotation: text}}}
        path = kind.path(namespace, name)
        query = {"fieldManager": FIELD_MANAGER}
        self._ask("patch", "PATCH", kind, path, query, patch, "application/merge-patch+json")

    def delete(self, kind: Kind, resource: Object) -> None:
        """Delete this very object, what belongs to it in the background; nothing if it is gone.

        Raises:
            ApiError: 409 where another has taken its name; Unreachable.
        """
        metadata = resource["metadata"]
        options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        try:
            self._ask("delete", "DELETE", kind, kind.path(metadata["namespace"], metadata["name"]), {}, options)
        except ApiError as error:
            if error.status != 404:
                raise

    def _ask(
        self,
        verb: str,
        method: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        answer: Object = json.loads(self._send(verb, method, kind, path, query, body, content_type).data)
        return answer

    def _send(
        self,
        verb: str,
        method: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        *,
        timeout: urllib3.Timeout = TIMEOUT,
        whole: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        configuration = self._api.configuration
        headers = {"accept": "application/json", "user-agent": "turnout", "content-type": content_type}
        # As the generated calls do: a token is read anew once it has expired.
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        began, outcome = time.monotonic(), "unreachable"
        try:
            response = self._api.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=timeout,
                retries=False,
                preload_content=whole,
            )
            outcome = "ok" if response.status < 400 else str(response.status)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"the API server at {configuration.host} does not answer: {error}") from error
        finally:
            self._observer(verb, kind.kind, outcome, time.monotonic() - began)
        if response.status >= 400:
            raise _error(response.status, _json(response.data))
        return response


def configuration(kubeconfig: str | None = None, context: str | None = None) -> tuple[Configuration, str]:
    """How to reach the API server, and the namespace that we are in: of the pod, else of the kubeconfig.

    Where a `kubeconfig` or a `context` is named, of that.

    Raises:
        TurnoutError: nothing says.
    """
    result = Configuration()
    if kubeconfig is None and context is None:
        try:
            config.load_incluster_config(result)  # type: ignore[no-untyped-call]
            return result, _NAMESPACE.read_text().strip()
        except config.ConfigException:
            pass
    try:
        config.load_kube_config(kubeconfig, context, result)  # type: ignore[no-untyped-call]
        contexts, current = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise TurnoutError(
            f"there is no way to a cluster: {error}; run in a pod with a service account, or set KUBECONFIG"
        ) from None
    used = current if context is None else next(known for known in contexts if known["name"] == context)
    return result, used["context"].get("namespace", "default")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    pending = b""
    for chunk in response.stream(None):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if line:
                yield json.loads(line)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {"message": body[:500].decode(errors="replace")}


def _error(status: int, answer: Any) -> ApiError:
    answer = answer if isinstance(answer, dict) else {"message": str(answer)}
    return ApiError(status, answer.get("reason", ""), answer.get("message") or f"the API server answers {status}")
