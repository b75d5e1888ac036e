"""The Target on a cluster: one ModelDeployment a round, the objects on the API server's side of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deployer.kubernetes.api.client import ApiError, Client, Unreachable
from deployer.kubernetes.api.lease import Lease
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.manifests import Options
from deployer.kubernetes.metrics import Metrics
from deployer.kubernetes.objects.kinds import BY_KIND, EVENT, MODEL_DEPLOYMENT, Id, Key, Object, identity, is_owned
from deployer.kubernetes.poll.poller import Poller
from deployer.kubernetes.reconcile import compare
from deployer.kubernetes.reconcile.actions import Action, Apply, Delete, Notify, Say, Tell
from deployer.kubernetes.reconcile.compare import Answer
from deployer.kubernetes.reconcile.observed import Observed, Refusal, foreign_message
from deployer.kubernetes.reconcile.plan import plan
from deployer.kubernetes.status import events
from deployer.rollout.events import Event
from deployer.rollout.notify.webhook import Webhooks

log = logging.getLogger(__name__)

IDLE = 0.5
"""Seconds that a round waits for something to do."""
RESYNC = 600.0
"""Seconds after which everything is looked at again, for what no watch can tell."""
RETRY = (0.5, 60.0)
"""The first and the longest pause, in seconds, before another look at a ModelDeployment that something failed for."""
STALE = 0.1
"""Seconds for the caches to catch up with what another has written."""


class KubernetesTarget:
    """What it keeps between rounds are answers of the API server, which it would get again."""

    def __init__(
        self,
        client: Client,
        store: Store,
        queue: Queue,
        lease: Lease,
        poller: Poller,
        notices: Webhooks,
        prometheus: str | None,
        metrics: Metrics,
    ) -> None:
        self.moved = time.monotonic()
        """When the last round began."""
        self.failing_since: float | None = None
        """Since when no round has reached the API server; None: the last one did."""
        self._client = client
        self._store = store
        self._queue = queue
        self._lease = lease
        self._poller = poller
        self._notices = notices
        self._prometheus = prometheus
        self._metrics = metrics
        self._stopping = threading.Event()
        self._resync_at = time.monotonic() + RESYNC
        self._memories: dict[Key, _Memory] = {}
        self._round: _Round | None = None

    def stop(self) -> None:
        """End after the action at hand."""
        self._stopping.set()

    @property
    def done(self) -> bool:
        return self._stopping.is_set()

    def observe(self) -> Observed | None:
        """The next ModelDeployment that something has changed about; None if there is none, or it is not our turn."""
        self._conclude()
        self.moved = time.monotonic()
        if not self._store.synced or not self._lease.held():
            self._stopping.wait(STALE)
            return None
        if self.moved > self._resync_at:
            self._resync_at = self.moved + RESYNC
            for known in self._memories.values():  # the definition may be another now, which holds all of it
                known.written = None
            self._store.look_again()
        key = self._queue.take(IDLE)
        resource = self._store.resource(key) if key is not None else None
        if key is None:
            return None
        if resource is None:
            self._memories.pop(key, None)
            return None
        memory = self._memories.get(key)
        if memory is None or memory.uid != resource["metadata"]["uid"]:
            memory = self._memories[key] = _Memory(resource["metadata"]["uid"])
        self._round = _Round(key, resource, memory)
        return Observed(
            resource=memory.whole(resource),
            live=self._store.made(key),
            slices=self._store.slices(key),
            pods=self._store.pods(key),
            options=Options(
                seldon_crd=self._store.has_seldon(), keda=self._store.has_keda(), prometheus=self._prometheus
            ),
            elder=self._store.elder(key),
            refusals=memory.refusals,
            answers=memory.answers,
            polled=self._poller.latest(key),
            now=time.time(),
        )

    def plan(self, observed: Observed | None) -> Sequence[Action]:
        if observed is None:
            return ()
        this = self._round
        assert this is not None
        try:
            actions = plan(observed)
        except Exception:  # one deployment's trouble with us is not the others'
            log.exception("a defect", extra={"deployment": this.name})
            this.failed = True
            return ()
        this.result = "changed" if actions else "unchanged"
        return actions

    def apply(self, action: Action) -> None:
        this = self._round
        if this is None or this.broken:
            return
        if not self._lease.held() or self._stopping.is_set():
            this.broken, this.retry = True, STALE
            return
        try:
            match action:
                case Apply():
                    self._apply(action, this)
                case Tell(event):
                    self._tell(event, this)
                case Notify(url, notice):
                    self._notices.send(url, notice)
                case Say(status):
                    content = status.model_dump(mode="json", by_alias=True, exclude_none=True)
                    self._say({**_head(this.resource), "status": content}, this)
                case Delete():
                    self._delete(action, this)
        except Unreachable as error:
            log.warning("the API server can't be reached", extra={"deployment": this.name, "error": error})
            this.broken = this.unreachable = True
        except ApiError as error:
            if error.status == 409:  # something has changed that the caches don't have yet
                this.broken, this.retry = True, STALE
            elif error.status != 404 or isinstance(action, Apply):
                log.warning("refused", extra={"deployment": this.name, "action": _words(action), "error": error})
                this.failed = True

    def troubled(self, error: OSError) -> None:
        log.error("a round ended early", extra={"error": error})

    def _apply(self, action: Apply, this: _Round) -> None:
        desired = action.desired
        kind, key = BY_KIND[desired["kind"]], identity(desired)
        if action.live is None:
            there = self._client.get(kind, this.key.namespace, key.name)
            if there is not None and not is_owned(there, this.memory.uid):
                self._refused(this, key, Refusal(foreign_message(key), foreign=True))
                return
        if action.if_unchanged and action.live is not None:
            version = action.live["metadata"]["resourceVersion"]
            sent = {**desired, "metadata": {**desired["metadata"], "resourceVersion": version}}
        else:
            sent = desired
        try:
            # What is new may conflict with nobody: somebody else's object would, that has come since we looked.
            answer = self._client.apply(kind, sent, force=action.live is not None or there is not None)
        except ApiError as error:
            if error.status in (400, 403, 404, 422):
                message = f"{key.kind} {key.name} is refused: {error}"
                self._refused(this, key, Refusal(message, foreign=False))
            raise
        log.info("applied", extra={"deployment": this.name, "object": f"{key.kind}/{key.name}"})
        self._store.put(answer)
        this.memory.refusals.pop(key, None)
        if compare.is_as_desired(desired, answer, None):
            this.memory.answers.pop(key, None)
        else:
            log.info("the API server holds it in another form", extra={"object": f"{key.kind}/{key.name}"})
            this.memory.answers[key] = compare.answer(desired, answer)

    def _refused(self, this: _Round, key: Id, refusal: Refusal) -> None:
        this.failed = True
        if this.memory.refusals.get(key) != refusal:
            this.memory.refusals[key] = refusal
            self._queue.add(this.key, urgent=False)  # so that the status tells it

    def _tell(self, event: Event, this: _Round) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._client.create(EVENT, events.as_object(event, this.resource, now))
        except ApiError as error:
            if error.status != 409:  # then it has been told before
                log.warning("an Event is refused", extra={"deployment": this.name, "error": error})

    def _say(self, resource: Object, this: _Round) -> None:
        """With the resource version that the status was derived from: else the route could fall back."""
        answer = self._client.replace(MODEL_DEPLOYMENT, resource, "status")
        self._store.put(answer)
        written, held = resource["status"], answer.get("status")
        this.memory.written, this.memory.held = (written, held) if written != held else (None, None)

    def _delete(self, action: Delete, this: _Round) -> None:
        """Only with the API server's own word that the version has no traffic: caches may be behind."""
        if action.version is not None and not this.seen:
            live = self._client.get(MODEL_DEPLOYMENT, this.key.namespace, this.key.name)
            if live is None or not _is_same(live, this.resource):
                this.broken, this.retry = True, STALE
                return
            this.seen = True
        key = identity(action.live)
        self._client.delete(BY_KIND[key.kind], action.live)
        log.info("deleted", extra={"deployment": this.name, "object": f"{key.kind}/{key.name}"})

    def _conclude(self) -> None:
        """See to what became of the round before."""
        this, self._round = self._round, None
        if this is None:
            return
        now = time.monotonic()
        if this.unreachable:
            self.failing_since = self.failing_since or now
        else:
            self.failing_since = None
        bad = this.failed or this.unreachable
        self._metrics.passed("failed" if bad else this.result, now - this.began)
        if bad:
            self._queue.add_later(this.key, this.memory.pause)
            this.memory.pause = min(2 * this.memory.pause, RETRY[1])
        elif this.retry is not None:
            self._queue.add_later(this.key, this.retry)
        else:
            this.memory.pause = RETRY[0]
            if this.result == "changed":  # what follows from it: the caches know it already, and won't tell
                self._queue.add(this.key, urgent=False)


@dataclass
class _Memory:
    """What the API server said last to what we wrote for one ModelDeployment; `pause` before the next try.

    Of the status that was `written` it may have `held` less: a definition of another release, which somebody else is to
    upgrade, lacks some of the fields. They would be written again and again.
    """

    uid: str
    written: Object | None = None
    held: Object | None = None
    refusals: dict[Id, Refusal] = field(default_factory=dict)
    answers: dict[Id, Answer] = field(default_factory=dict)
    pause: float = RETRY[0]

    def whole(self, resource: Object) -> Object:
        """The resource, with the status as it was written if nobody has changed it since."""
        unchanged = self.written is not None and resource.get("status") == self.held
        return {**resource, "status": self.written} if unchanged else resource


class _Round:
    """What becomes of one ModelDeployment's turn. `broken`: what is left of it is not done."""

    def __init__(self, key: Key, resource: Object, memory: _Memory) -> None:
        self.key = key
        self.name = "/".join(key)
        self.resource = resource
        self.memory = memory
        self.began = time.monotonic()
        self.result = "failed"
        self.broken = False
        self.failed = False
        self.unreachable = False
        self.seen = False
        self.retry: float | None = None


def _head(resource: Object) -> Object:
    metadata = {name: resource["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": metadata}


def _is_same(live: Object, known: Object) -> bool:
    """Whether the plan, made from `known`, holds for `live`: the same spec, the same route."""

    def facts(resource: Object) -> tuple[object, ...]:
        metadata = resource["metadata"]
        return metadata["uid"], metadata["generation"], resource.get("status", {}).get("route")

    return facts(live) == facts(known)


def _words(action: Action) -> str:
    return type(action).__name__.lower()
