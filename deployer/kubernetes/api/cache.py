"""What the API server has of one kind of object: listed once, then watched.

Not the `kubernetes` package's informer: it builds models of everything, waits for ever on a connection that has gone
dead without a word, and tells nobody when it last heard anything.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable

from deployer.kubernetes.api.client import ApiError, Client, Unreachable
from deployer.kubernetes.objects.kinds import Key, Kind, Object
from deployer.kubernetes.objects.slim import slim

log = logging.getLogger(__name__)

SILENCE = 90.0
"""Seconds without a word after which a watch counts as deaf and is begun anew. The API server sends a bookmark a
minute."""
DURATION = 300
"""Seconds that a watch is asked to last: more would leave it for ever with one of several API servers."""
RETRY = (0.2, 5.0)
"""The first and the longest pause, in seconds, after a failure."""
ABSENT = 30.0
"""Seconds until it is looked again whether a kind of another project is there."""


class Cache:
    """Objects by the ModelDeployment that they belong to.

    `key` says to which one an object belongs, None: to none of ours. `changed` is called with it, from the cache's own
    thread, for each object that has changed or gone; `appeared` where a kind of another project has come or gone.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespace: str | None,
        selector: str,
        key: Callable[[Object], Key | None],
        changed: Callable[[Key], None],
        appeared: Callable[[], None] = lambda: None,
    ) -> None:
        self.kind = kind
        self.present = not kind.extension
        """Whether the API server knows the kind."""
        self.heard_at = time.monotonic()
        """When something was last heard of the API server: a list, an event, a bookmark, that there is no such kind."""
        self.synced = threading.Event()
        """Set once all that was there has been read."""
        self._client = client
        self._namespace = namespace
        self._selector = selector
        self._key = key
        self._changed = changed
        self._appeared = appeared
        self._lock = threading.Lock()
        self._objects: dict[Key, dict[Key, Object]] = {}
        self._version = 0
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"watch-{self.kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """End soon: not before the running watch tells something."""
        self._stop.set()

    def of(self, key: Key) -> list[Object]:
        """The objects of one ModelDeployment. They are shared: not to be changed."""
        with self._lock:
            return list(self._objects.get(key, {}).values())

    def deployments(self) -> list[Key]:
        """The ModelDeployments that there are objects of."""
        with self._lock:
            return list(self._objects)

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._objects.values()))

    def put(self, answer: Object) -> None:
        """Know what we wrote before the watch tells it, so that the next pass doesn't write it again."""
        with self._lock:
            # What the watch has passed already, it has told: were it put in now, it could be gone since.
            if _version(answer) > self._version:
                self._keep(answer)

    def _keep(self, resource: Object) -> Key | None:
        key, name = self._key(resource), _name(resource)
        if key is None:
            return None
        known = self._objects.get(key, {}).get(name)
        if known is not None and _version(known) >= _version(resource):
            return None
        self._objects.setdefault(key, {})[name] = slim(resource, self.kind)
        return key

    def _drop(self, resource: Object) -> Key | None:
        key, name = self._key(resource), _name(resource)
        of_key = self._objects.get(key, {}) if key is not None else {}
        if name not in of_key or _version(of_key[name]) > _version(resource):
            return None
        del of_key[name]
        if not of_key and key is not None:
            del self._objects[key]
        return key

    def _run(self) -> None:
        pause, listed = RETRY[0], False
        while not self._stop.is_set():
            try:
                if not listed:
                    self._list()
                    listed = True
                self._watch()
                pause = RETRY[0]
            except ApiError as error:
                if error.status == 410:  # nobody remembers what has changed since: begin anew
                    log.info("a watch is too far behind and begins anew", extra={"kind": self.kind.kind})
                    listed = False
                elif error.status == 404 and self.kind.extension:
                    listed = False
                    self._absent()
                    self._stop.wait(ABSENT)
                else:
                    pause = self._failed(error, pause)
            except Unreachable as error:
                pause = self._failed(error, pause)
            except Exception as error:
                log.exception("a defect in a watch", extra={"kind": self.kind.kind})
                listed = False
                pause = self._failed(error, pause)

    def _failed(self, error: Exception, pause: float) -> float:
        log.warning("a watch failed", extra={"kind": self.kind.kind, "error": error, "pause": pause})
        if not self._stop.is_set():
            self._stop.wait(pause * random.uniform(0.5, 1))
        return min(2 * pause, RETRY[1])

    def _list(self) -> None:
        found, version = self._client.list_all(self.kind, self._namespace, self._selector)
        for resource in found:
            # The items of a list don't say what they are.
            resource |= {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
        there = {_name(resource) for resource in found}
        with self._lock:
            self._version = int(version)
            changed = [self._keep(resource) for resource in found]
            for of_key in list(self._objects.values()):
                for name, resource in list(of_key.items()):
                    if name not in there and _version(resource) <= self._version:
                        changed.append(self._drop(resource))
        self.heard_at = time.monotonic()
        self._tell(changed)
        if not self.present:
            self.present = True
            self._appeared()
        self.synced.set()

    def _absent(self) -> None:
        with self._lock:
            changed = list(self._objects)
            self._objects.clear()
        self.heard_at = time.monotonic()
        self._tell(changed)
        if self.present:
            self.present = False
            self._appeared()
        self.synced.set()

    def _watch(self) -> None:
        version = str(self._version)
        events = self._client.watch(
            self.kind, self._namespace, version, selector=self._selector, duration=DURATION, silence=SILENCE
        )
        for event in events:
            self.heard_at = time.monotonic()
            resource = event["object"]
            with self._lock:
                self._version = max(self._version, _version(resource))
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        changed = self._keep(resource)
                    case "DELETED":
                        changed = self._drop(resource)
                    case _:  # a bookmark
                        changed = None
            self._tell([changed])
            if self._stop.is_set():
                return

    def _tell(self, changed: Iterable[Key | None]) -> None:
        for key in changed:
            if key is not None:
                self._changed(key)


def _name(resource: Object) -> Key:
    metadata = resource["metadata"]
    return Key(metadata["namespace"], metadata["name"])


def _version(resource: Object) -> int:
    """Numbers that only rise, and can be compared: Kubernetes promises it since 1.35, and etcd has always kept it."""
    return int(resource["metadata"]["resourceVersion"])
