"""The signatures of the versions that a rollout is about, asked of their servers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from deployer.kubernetes.api.store import Store
from deployer.kubernetes.objects.kinds import Key, Object
from deployer.kubernetes.objects.names import version_name
from deployer.kubernetes.status.model import DeploymentStatus
from deployer.kubernetes.status.version_health import look, rest_address
from deployer.rollout.analysis.signature import Signature
from deployer.rollout.providers.signatures import SignatureAnswer, fetch
from deployer.rollout.state import COMPARED


class Signatures:
    """Each is asked for until it is told, once for each form in which its version is declared."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: dict[tuple[Key, str, str], SignatureAnswer] = {}

    def of(self, key: Key, resource: Object, status: DeploymentStatus) -> tuple[dict[str, Signature], frozenset[str]]:
        """The signatures that are known, by version, and the versions that were asked, whether they have told it or
        not. Blocks while servers are asked."""
        rollout = status.rollout
        if rollout is None or rollout.phase not in COMPARED:
            return {}, frozenset()
        answers = {version: self._asked(key, version, resource, status) for version in (rollout.stable, rollout.canary)}
        known = {version: answer.signature for version, answer in answers.items() if answer.signature is not None}
        return known, frozenset(version for version, answer in answers.items() if answer.done)

    def forget(self, under_way: Collection[Key]) -> None:
        """What was said in rollouts that are no longer under way."""
        self._answers = {known: answer for known, answer in self._answers.items() if known[0] in under_way}

    def _asked(self, key: Key, version: str, resource: Object, status: DeploymentStatus) -> SignatureAnswer:
        declared = next((one for one in resource["spec"].get("versions", ()) if one["name"] == version), None)
        digest = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()
        answer = self._answers.setdefault((key, version, digest), SignatureAnswer())
        if answer.done or status.route is None:
            return answer
        service, slices = version_name(key.name, version), self._store.slices(key)
        settled = look(version, service, self._store.made(key), slices, self._store.pods(key)).settled
        address = rest_address(service, slices)
        if settled and address is not None:  # else it could be the one of a pod that is being replaced
            answer.signature = fetch(status.route.runtime, *address, key.name)
            answer.tries += 1
        return answer
