"""What a cache does when the API server breaks off, forgets, or falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployer.kubernetes.api import cache
from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.api.client import Client
from deployer.kubernetes.objects.kinds import MODEL_DEPLOYMENT, SCALED_OBJECT, Key, Object
from tests.fakes.api_server import Api, Watch, events, refused, resource
from tests.fakes.turnout import until


def own(found: Object) -> Key:
    return Key(found["metadata"]["namespace"], found["metadata"]["name"])


@contextmanager
def running(lists: list[tuple[int, list[Object]]], watches: list[Watch]) -> Iterator[tuple[Api, Cache, list[Key]]]:
    changed: list[Key] = []
    with Api(lists, watches) as api:
        cached = Cache(Client(api.configuration), MODEL_DEPLOYMENT, None, "", own, changed.append)
        cached.start()
        try:
            assert cached.synced.wait(10)
            yield api, cached, changed
        finally:
            cached.stop()


def names(cached: Cache) -> set[str]:
    return {key.name for key in cached.deployments()}


def test_what_is_listed_and_told_is_kept() -> None:
    watch = events(
        ("ADDED", resource("b", 11)), ("MODIFIED", resource("a", 12)), ("DELETED", resource("a", 13)),
    )  # fmt: skip
    with running([(10, [resource("a", 5)])], [watch]) as (_, cached, changed):
        until(lambda: names(cached) == {"b"}, "all is told")
        assert changed == [Key("default", name) for name in "abaa"]


def test_a_watch_that_ends_goes_on_where_it_was_after_a_bookmark_too() -> None:
    watches = [events(("BOOKMARK", resource("", 20))), events(("ADDED", resource("b", 21)))]
    with running([(10, [])], watches) as (api, cached, _):
        until(lambda: names(cached) == {"b"} and len(api.asked) >= 4, "it goes on")
        assert api.asked[:4] == ["list", "10", "20", "21"]


@pytest.mark.parametrize("how", ["at once", "later"])
def test_what_is_forgotten_is_listed_again(how: str) -> None:
    gone = {"kind": "Status", "code": 410, "message": "too old"}
    watch = refused(410) if how == "at once" else events(("ERROR", gone))
    lists = [(10, [resource("a", 5), resource("b", 6)]), (30, [resource("b", 6), resource("c", 25)])]
    with running(lists, [watch]) as (api, cached, changed):
        until(lambda: names(cached) == {"b", "c"}, "it is listed again")
        until(lambda: len(api.asked) >= 4, "it is watched again")
        assert api.asked[:4] == ["list", "10", "list", "30"]
        # b has not changed.
        assert sorted(key.name for key in changed) == ["a", "a", "b", "c"]


def test_a_deaf_watch_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SILENCE", 0.1)
    with running([(10, [])], []) as (api, cached, _):
        before = cached.heard_at
        until(lambda: len(api.asked) >= 3, "it is begun anew")
        assert api.asked[:3] == ["list", "10", "10"]
        assert cached.heard_at == before


def test_a_refused_watch_is_tried_again() -> None:
    with running([(10, [])], [refused(500), events(("ADDED", resource("a", 11)))]) as (api, cached, _):
        until(lambda: names(cached) == {"a"}, "it is tried again")
        assert api.asked[:3] == ["list", "10", "10"]


def test_what_we_wrote_is_known_at_once_unless_the_watch_has_passed_it() -> None:
    with running([(10, [resource("a", 5)])], []) as (_, cached, _):
        cached.put(resource("a", 11, generation=2))
        assert cached.of(Key("default", "a"))[0]["metadata"]["generation"] == 2
        cached.put(resource("b", 9))
        assert names(cached) == {"a"}


def test_a_kind_that_is_not_there_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ABSENT", 0.01)
    came: list[bool] = []
    with Api([(10, [])], [refused(404), refused(404)]) as api:
        cached = Cache(
            Client(api.configuration),
            SCALED_OBJECT,
            None,
            "",
            own,
            lambda key: None,
            lambda: came.append(cached.present),
        )
        cached.start()
        try:
            until(lambda: len(came) >= 5, "it comes and goes")
        finally:
            cached.stop()
        assert came[:5] == [True, False, True, False, True]
