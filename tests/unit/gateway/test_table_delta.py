"""What one table says that another did not, and back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version
from gateway.table_delta import TableDelta, apply, departed, difference

names = st.sampled_from("abcde")


@st.composite
def tables(draw: st.DrawFn) -> RouteTable:
    deployments = []
    for name in draw(st.lists(names, unique=True)):
        ports = draw(st.sets(st.integers(1, 3)))
        endpoints = tuple(Endpoint(host="h", rest=port, grpc=port) for port in sorted(ports))
        version = Version(name="v1", endpoints=endpoints)
        made = Deployment(
            namespace=draw(st.sampled_from("xy")), name=name, runtime="oip", stable="v1", versions=(version,)
        )
        deployments.append(made)
    return RouteTable(revision=draw(st.integers(0, 9)), deployments=tuple(deployments))


@given(tables(), tables())
def test_the_difference_makes_the_one_into_the_other(old: RouteTable, new: RouteTable) -> None:
    change = TableDelta.model_validate_json(difference(old, new).model_dump_json())
    made = apply(old, change)
    assert made == new
    unchanged = {id(deployment) for deployment in old.deployments if deployment in new.deployments}
    assert {id(deployment) for deployment in made.deployments} >= unchanged
    assert {id(deployment) for deployment in departed(old.deployments, made)}.isdisjoint(unchanged)
    assert len(departed(old.deployments, made)) == len(old.deployments) - len(unchanged)


@given(tables())
def test_it_names_only_what_differs(table: RouteTable) -> None:
    assert difference(table, table.model_copy(update={"revision": 10})) == TableDelta(revision=10)
    order = RouteTable(revision=1, deployments=table.deployments[::-1])
    assert difference(table, order).deployments == ()
    for deployment in table.deployments:
        changed = deployment.model_copy(update={"epoch": 1})
        others = tuple(changed if other is deployment else other for other in table.deployments)
        change = difference(table, RouteTable(revision=1, deployments=others))
        assert change == TableDelta(revision=1, deployments=(changed,))
