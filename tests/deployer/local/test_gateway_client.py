from __future__ import annotations

from deployer.local.gateway_client import Snapshot, parse, read
from tests.support.turnout import free_port

METRICS = """\
# HELP turnout_requests_total Requests.
# TYPE turnout_requests_total counter
turnout_requests_total{namespace="vision",deployment="digits",version="v1",dialect="tfserving-rest",assignment="split",outcome="success"} 90.0
turnout_requests_total{namespace="vision",deployment="digits",version="v1",dialect="tfserving-grpc",assignment="pin",outcome="success"} 5.0
turnout_requests_total{namespace="vision",deployment="digits",version="v1",dialect="tfserving-rest",assignment="split",outcome="client_error"} 3.0
turnout_requests_total{namespace="vision",deployment="digits",version="v1",dialect="tfserving-rest",assignment="split",outcome="server_error"} 2.0
turnout_requests_total{namespace="vision",deployment="digits",version="v1",dialect="tfserving-rest",assignment="split",outcome="unavailable"} 1.0
# TYPE turnout_request_duration_seconds histogram
turnout_request_duration_seconds_bucket{namespace="vision",deployment="digits",version="v1",le="+Inf"} 101.0
# TYPE turnout_inflight_seconds_total counter
turnout_inflight_seconds_total{namespace="vision",deployment="digits",version="v1"} 12.5
# TYPE turnout_endpoint_requests_in_flight gauge
turnout_endpoint_requests_in_flight{namespace="vision",deployment="digits",version="v1",endpoint="127.0.0.1:20001"} 2.0
# TYPE turnout_table_revision gauge
turnout_table_revision 8.0
# TYPE turnout_table_revision_in_force gauge
turnout_table_revision_in_force 7.0
"""  # noqa: E501


def test_what_the_gateway_tells_is_summed_by_version() -> None:
    version = ("vision/digits", "v1")
    assert parse(True, "ok", METRICS) == Snapshot(
        ready=True,
        why="ok",
        revision=7,
        in_flight={(*version, "127.0.0.1:20001"): 2.0},
        seconds={version: 12.5},
        requests={version: 101.0},
        failures={version: 3.0},  # what is the client's own fault is no failure
    )


def test_a_gateway_without_a_table_in_force_has_revision_0() -> None:
    assert parse(False, "no table", "") == Snapshot(False, "no table")


def test_a_gateway_that_does_not_answer_is_not_ready() -> None:
    heard = read(f"127.0.0.1:{free_port()}")
    assert not heard.ready
    assert "does not answer" in heard.why
