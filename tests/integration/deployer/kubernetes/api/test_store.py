from __future__ import annotations

from deployer.kubernetes.api.client import Client
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.objects.kinds import Key
from tests.fakes.api_server import Api, resource
from tests.fakes.turnout import until


def test_the_oldest_has_the_bare_name() -> None:
    found = [
        resource("digits", 5, "audio", creationTimestamp="2026-01-02T00:00:00Z"),
        resource("digits", 6, "vision", creationTimestamp="2026-01-01T00:00:00Z"),
        resource("digits", 7, "speech", creationTimestamp="2026-01-01T00:00:00Z"),
        resource("other", 8, "audio", creationTimestamp="2026-01-03T00:00:00Z"),
    ]
    queue = Queue()
    with Api([(10, found)], []) as api:
        store = Store(Client(api.configuration), None, queue)
        store.start()
        try:
            until(lambda: store.synced, "all is read")
            # Of two that are equally old it is the first by the alphabet, for ever.
            eldest = Key("speech", "digits")
            assert store.elder(eldest) is None
            assert store.elder(Key("audio", "digits")) == store.elder(Key("vision", "digits")) == eldest
            assert store.elder(Key("audio", "other")) is None
            assert {queue.take(0) for _ in range(5)} == {
                Key(r["metadata"]["namespace"], r["metadata"]["name"]) for r in found
            } | {None}
        finally:
            store.stop()
