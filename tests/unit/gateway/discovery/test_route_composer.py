"""Which table follows from what was heard of a cluster, whatever the order in which it was heard."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.route_table import Endpoint, RouteTable
from gateway.discovery.route_composer import Composer

PORTS = [{"name": "rest", "port": 8501}, {"name": "grpc", "port": 8500}, {"name": "metrics", "port": 9}]
READY = {"ready": True, "serving": True, "terminating": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}
LEFT = {"ready": False, "serving": False, "terminating": True}
STARTING = {"ready": False, "serving": False, "terminating": False}


def resource(name: str, /, *versions: str, created: str = "2026-01-01T00:00:00Z", **changes: Any) -> dict[str, Any]:
    """A ModelDeployment whose route has these versions, each with the Service `<name>-<version>`."""
    route = {
        "namespace": "ns",
        "name": name,
        "runtime": "tfserving",
        "stable": versions[0],
        "versions": [{"name": version, "service": f"{name}-{version}"} for version in versions],
    }
    metadata = {"namespace": "ns", "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "status": {"route": route | changes}}


def piece(name: str, service: str, *hosts: Any, namespace: str = "ns", **changes: Any) -> dict[str, Any]:
    """An EndpointSlice. A host is ready where nothing else is said."""
    endpoints = [
        {"addresses": [host[0]], "conditions": host[1]} if isinstance(host, tuple) else {"addresses": [host]}
        for host in hosts
    ]
    metadata = {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": service}}
    return {"metadata": metadata, "addressType": "IPv4", "ports": PORTS, "endpoints": endpoints} | changes


def at(*hosts: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(host=host, rest=8501, grpc=8500) for host in hosts)


def composed(composer: Composer) -> RouteTable:
    table = composer.compose()
    assert table is not None
    return table


def endpoints(table: RouteTable, name: str = "m", version: str = "v1") -> tuple[Endpoint, ...]:
    return table.by_key["ns", name].by_name[version].endpoints


@pytest.mark.parametrize(
    ("pieces", "hosts"),
    [
        ([], ()),
        ([piece("a", "m-v1", "10.0.0.2", "10.0.0.1")], ("10.0.0.1", "10.0.0.2")),
        ([piece("a", "m-v1", "10.0.0.1"), piece("b", "m-v1", "10.0.0.1", "10.0.0.2")], ("10.0.0.1", "10.0.0.2")),
        ([piece("a", "m-v1", ("10.0.0.1", READY), ("10.0.0.2", STARTING))], ("10.0.0.1",)),
        ([piece("a", "m-v1", ("10.0.0.1", READY), ("10.0.0.2", LEAVING))], ("10.0.0.1",)),
        ([piece("a", "m-v1", ("10.0.0.1", LEAVING), ("10.0.0.2", LEFT))], ("10.0.0.1",)),
        ([piece("a", "m-v1", ("10.0.0.1", LEFT), ("10.0.0.2", STARTING))], ()),
        ([piece("a", "m-v1", ("10.0.0.1", LEAVING)), piece("b", "m-v1", ("10.0.0.1", READY))], ("10.0.0.1",)),
        ([piece("a", "m-v1", ("10.0.0.1", {"ready": None}))], ("10.0.0.1",)),
        ([piece("a", "m-v1", ("10.0.0.1", {"ready": False, "serving": None, "terminating": True}))], ()),
        ([piece("a", "m-v1", "fd00::1", addressType="IPv6")], ("fd00::1",)),
        ([piece("a", "m-v1", "a.example", addressType="FQDN")], ()),
        ([piece("a", "m-v1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "10.0.0.1")], ("10.0.0.1",)),
        ([piece("a", "m-v1", "168.63.129.16", "100.100.100.200", "a.example", "::ffff:127.0.0.1")], ()),
        ([piece("a", "m-v1", "::1", "fe80::1", "fd00:ec2::254", "fd00::1", addressType="IPv6")], ("fd00::1",)),
        ([piece("a", "m-v1", "10.0.0.1", ports=PORTS[:1])], ()),
        ([piece("a", "m-v1", "10.0.0.1", ports=None)], ()),
        ([piece("a", "m-v1", endpoints=None, ports=None)], ()),
        ([piece("a", "m-v2", "10.0.0.1"), piece("b", "m-v1", "10.0.0.2", namespace="other")], ()),
    ],
)
def test_a_version_has_the_endpoints_of_its_service(pieces: list[dict[str, Any]], hosts: tuple[str, ...]) -> None:
    composer = Composer(None)
    composer.deployments([resource("m", "v1")])
    composer.slices(pieces)
    assert endpoints(composed(composer)) == at(*hosts)


def test_without_deployments_there_is_a_table_and_it_is_empty() -> None:
    assert Composer(None).compose() == RouteTable(revision=1)


def test_only_what_differs_is_a_new_table() -> None:
    composer = Composer(None)
    composer.deployment(resource("m", "v1"))
    first = composed(composer)
    composer.deployment(resource("m", "v1"))
    composer.slice(piece("a", "elsewhere", "10.0.0.1"))
    composer.slice(piece("b", "m-v1", ("10.0.0.1", STARTING)))
    assert composer.compose() is None
    composer.slice(piece("b", "m-v1", "10.0.0.1"))
    second = composed(composer)
    assert (first.revision, second.revision) == (1, 2)
    composer.slice(piece("b", "m-v1", "10.0.0.1"), deleted=True)
    assert endpoints(composed(composer)) == ()


def test_the_oldest_comes_first() -> None:
    composer = Composer(None)
    composer.deployments(
        [
            resource("c", "v1", created="2026-02-01T00:00:00Z"),
            resource("b", "v1", created="2026-03-01T00:00:00Z"),
            resource("a", "v1", created="2026-03-01T00:00:00Z"),
        ]
    )
    assert list(composed(composer).keys) == ["ns/c", "ns/a", "ns/b"]


def test_a_change_leaves_the_others_the_objects_that_they_were() -> None:
    composer = Composer(None)
    composer.deployments([resource("a", "v1"), resource("b", "v1")])
    before = composed(composer)
    composer.slice(piece("s", "b-v1", "10.0.0.1"))
    after = composed(composer)
    assert after.deployments[0] is before.deployments[0]
    assert endpoints(after, "b") == at("10.0.0.1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight": 101}, "status.route: weight: Input should be less than or equal to 100"),
        ({"stable": "v9"}, "status.route: Value error, ns/m: stable is 'v9', but the versions are v1"),
        ({"name": "other"}, "status.route: it is the route of ns/other"),
        ({"namespace": "kube-system"}, "status.route: it is the route of kube-system/m"),
        ({"new": 1, "requires": ["new"]}, "status.route: it requires what this release does not know: new"),
    ],
)
def test_a_bad_route_keeps_the_last_good_one_and_breaks_no_other(changes: dict[str, Any], reason: str) -> None:
    composer = Composer(None)
    composer.deployments([resource("m", "v1"), resource("other", "v1")])
    composer.slice(piece("a", "m-v1", "10.0.0.1"))
    good = composed(composer)
    for _ in range(2):
        composer.deployment(resource("m", "v1", **changes))
        assert composer.problems == {("ns", "m"): reason}
        assert composer.rejected == 1
        assert composer.compose() is None
    composer.slice(piece("a", "m-v1", "10.0.0.2"))
    assert endpoints(composed(composer)) == at("10.0.0.2")

    fresh = Composer(None)
    bad = resource("m", "v1", **changes)
    fresh.deployments([bad, resource("other", "v1")])
    assert list(composed(fresh).keys) == ["ns/other"]
    restarted = Composer(good)
    restarted.deployments([bad, resource("other", "v1")])
    restarted.slices([piece("a", "m-v1", "10.0.0.3")])
    table = composed(restarted)
    assert endpoints(table) == at("10.0.0.3")
    assert table.revision == good.revision + 1

    for one in (composer, fresh, restarted):
        one.deployment(resource("m", "v2"))
        assert one.problems == {}
        assert composed(one).by_key["ns", "m"].stable == "v2"
    composer.deployment(bad)
    composer.deployments([resource("other", "v1")])
    assert composer.problems == {}
    assert list(composed(composer).keys) == ["ns/other"]


@pytest.mark.parametrize("status", [None, {}, {"route": None}, {"phase": "Pending"}])
def test_without_a_route_there_is_nothing_to_route_to(status: Any) -> None:
    composer = Composer(None)
    composer.deployments([resource("m", "v1")])
    composed(composer)
    composer.deployment(resource("m", "v1") | {"status": status})
    assert composed(composer).deployments == ()


def test_addresses_in_a_route_are_not_believed() -> None:
    composer = Composer(None)
    versions = [{"name": "v1", "endpoints": [{"host": "10.9.9.9", "rest": 1, "grpc": 2}]}]
    composer.deployment(resource("m", "v1", versions=versions))
    assert endpoints(composed(composer)) == ()


hosts = st.lists(
    st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.sampled_from([READY, LEAVING, LEFT, STARTING])), max_size=2
)
pieces = st.builds(
    lambda name, service, hosts: piece(name, service, *hosts),
    st.sampled_from("xyz"),
    st.sampled_from(["a-v1", "a-v2", "b-v1"]),
    hosts,
)
resources = st.builds(
    lambda name, versions, weight: resource(name, *versions, weight=weight, canary=versions[-1]),
    st.sampled_from("ab"),
    st.lists(st.sampled_from(["v1", "v2"]), min_size=1, unique=True),
    st.sampled_from([0, 10, 101]),
)
events = st.lists(st.tuples(st.one_of(pieces, resources), st.booleans(), st.booleans()), max_size=30)


@given(events)
def test_events_one_by_one_come_to_what_a_list_comes_to(events: list[tuple[dict[str, Any], bool, bool]]) -> None:
    """Deployments that went bad aside, of which only whoever saw them good knows the last good route."""
    composer = Composer(None)
    living: dict[tuple[bool, str], dict[str, Any]] = {}
    last: RouteTable | None = None
    for object, deleted, look in events:
        is_piece = "addressType" in object
        (composer.slice if is_piece else composer.deployment)(object, deleted=deleted)
        key = (is_piece, object["metadata"]["name"])
        living.pop(key, None)
        if not deleted:
            living[key] = object
        if look:
            last = composer.compose() or last
    last = composer.compose() or last
    assert last is not None
    listed = Composer(None)
    listed.deployments([object for (is_piece, _), object in living.items() if not is_piece])
    listed.slices([object for (is_piece, _), object in living.items() if is_piece])
    assert composer.problems == listed.problems
    bad = {f"{namespace}/{name}" for namespace, name in composer.problems}
    assert [one for one in last.deployments if one.key not in bad] == list(composed(listed).deployments)
    # A list that tells the same changes nothing.
    composer.deployments([object for (is_piece, _), object in living.items() if not is_piece])
    composer.slices([object for (is_piece, _), object in living.items() if is_piece])
    assert composer.compose() is None


def test_pieces_that_a_list_has_no_more_are_gone() -> None:
    composer = Composer(None)
    composer.deployment(resource("m", "v1"))
    composer.slices([piece("a", "m-v1", "10.0.0.1"), piece("b", "m-v1", "10.0.0.2")])
    assert endpoints(composed(composer)) == at("10.0.0.1", "10.0.0.2")
    composer.slices([piece("b", "m-v1", "10.0.0.2")])
    assert endpoints(composed(composer)) == at("10.0.0.2")


def test_a_service_that_two_deployments_share_stays_for_the_other() -> None:
    composer = Composer(None)
    shared = [{"name": "v1", "service": "both"}]
    composer.deployment(resource("m", "v1", versions=shared))
    composer.deployment(resource("n", "v1", versions=shared))
    composer.slice(piece("a", "both", "10.0.0.1"))
    table = composed(composer)
    assert endpoints(table, "m") == endpoints(table, "n") == at("10.0.0.1")
    composer.deployment(resource("m", "v1", versions=shared), deleted=True)
    composer.slice(piece("a", "both", "10.0.0.2"))
    table = composed(composer)
    assert [one.name for one in table.deployments] == ["n"]
    assert endpoints(table, "n") == at("10.0.0.2")
