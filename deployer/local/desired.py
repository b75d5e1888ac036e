"""What should run: the documents, and what is remembered of their versions while the supervisor lives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.local.admin_client import Version
from deployer.local.gateway_process import GATEWAY, Gateway
from deployer.local.launcher import Launcher
from deployer.local.policy.autoscaler import Autoscaler
from deployer.local.policy.backoff import Backoff, Trouble
from deployer.local.policy.plan import Need
from deployer.local.state_folder import Fingerprint, StateFolder


class Desired:
    """The documents of a state folder, read again when they change."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._fingerprint: Fingerprint = {}
        """When last looked at."""
        self._read: Fingerprint = {}
        """Of the documents as they are here: another than that, where one could not be read."""
        self._scalers: dict[Version, Autoscaler] = {}
        self.documents: dict[str, ModelDeployment] = {}
        """By their keys."""
        self.troubles: dict[Version, Trouble] = {GATEWAY: Trouble()}

    def refresh(self, live: Iterable[Version]) -> Set[str]:
        """Read the documents that have changed; the keys of those, and of the deleted ones. `live` names the version of
        each replica there is: one that is new to this supervisor keeps those that an earlier one gave it.

        Raises:
            TurnoutError: one can't be read; what was read before goes on until they change again.
            OSError: one can't be read just now; what was read before goes on, and the next call tries it again.
        """
        fingerprint = self._state.fingerprint()
        if fingerprint == self._fingerprint:
            return frozenset()
        changed = {key for key, _ in fingerprint.items() ^ self._read.items()}
        try:
            found = {key: self._state.document(key) for key in changed}
        except TurnoutError:
            self._fingerprint = fingerprint
            raise
        documents = {key: found[key] if key in changed else self.documents.get(key) for key in sorted(fingerprint)}
        self.documents = {key: document for key, document in documents.items() if document is not None}
        self._fingerprint = self._read = fingerprint
        replicas = Counter(live)
        declared = {(d.key, v.name): v for d in self.documents.values() for v in d.spec.versions}
        self._scalers = {
            version: self._scalers.get(version) or Autoscaler(max(spec.replicas[0], replicas[version]))
            for version, spec in declared.items()
        }
        self.troubles = {version: self.troubles.get(version) or Trouble() for version in [GATEWAY, *declared]}
        for version, trouble in self.troubles.items():
            if version == GATEWAY or version[0] in changed:
                trouble.backoff = Backoff()  # who applies a change wants it tried now
        return changed

    def __contains__(self, version: Version) -> bool:
        return version in self._scalers

    def replicas(self, version: Version) -> int:
        """How many should run now."""
        return self._scalers[version].replicas if version in self._scalers else int(version == GATEWAY)

    @property
    def idle(self) -> bool:
        """Whether each version has the least replicas, and none is in trouble: without requests nothing will change."""
        return all(
            scaler.replicas <= self.documents[key].by_name[version].replicas[0]
            for (key, version), scaler in self._scalers.items()
        ) and not any(trouble.backoff.failures for trouble in self.troubles.values())

    def sample(self, gateway: Gateway, now: float) -> None:
        """Take what the gateway counts now."""
        for version, scaler in self._scalers.items():
            scaler.sample(now, gateway.in_flight_seconds(version))

    def failures(self, version: Version) -> tuple[int, str]:
        """How often its replicas have failed since it was declared, and why the last one did."""
        trouble = self.troubles.get(version) or Trouble()
        return trouble.failures, trouble.last

    def needs(self, launches: Launcher, floors: Mapping[Version, int], now: float) -> Iterator[Need]:
        """What should run of each version: by its load, and what its rollout needs at least (`floors`)."""
        for version, scaler in self._scalers.items():
            document = self.documents[version[0]]
            spec = document.by_name[version[1]]
            target = (spec.autoscaling.target.in_flight if spec.autoscaling else None) or 4.0
            least, most = spec.replicas
            replicas = scaler.decide(now, target, max(least, min(most, floors.get(version, 0))), most)
            blocked = launches.problem(document.spec.runtime) is not None
            yield Need(*version, replicas, math.inf if blocked else self.troubles[version].backoff.not_before)
