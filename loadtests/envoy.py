"""Envoy's configuration for the bench: what Turnout does for a request, and nothing that it doesn't.

Each setting that differs from Envoy's default spares it work, or equals a limit of Turnout's.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Ports = Mapping[str, Mapping[str, int]]
"""For each version, its `rest` and its `grpc` port on 127.0.0.1."""

_TYPE = "type.googleapis.com/envoy.extensions"
_MANY = 100_000
"""No request is to be turned away by a circuit breaker: Turnout's limits aren't reached either."""


def render(ports: Ports, weights: Mapping[str, int], deadline: int) -> dict[str, Any]:
    """A bootstrap document with the listeners `rest` and `grpc`, on free ports that the admin API tells.

    Args:
        weights: each version's share in percent.
        deadline: seconds; for gRPC the most that a caller's grpc-timeout may ask for, and the default without one.
    """
    limits: dict[str, dict[str, Any]] = {
        "rest": {"timeout": f"{deadline}s"},
        "grpc": {
            "timeout": "0s",  # else a second timer beside the one that grpc-timeout sets
            "max_stream_duration": {"max_stream_duration": f"{deadline}s", "grpc_timeout_header_max": f"{deadline}s"},
        },
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [_listener(protocol, weights, limits[protocol]) for protocol in limits],
            "clusters": [
                _cluster(protocol, version, ports[version][protocol]) for protocol in limits for version in weights
            ],
        },
    }


def _listener(protocol: str, weights: Mapping[str, int], limits: dict[str, Any]) -> dict[str, Any]:
    split = {
        "clusters": [
            {
                "name": f"{version}-{protocol}",
                "weight": weight,
                "response_headers_to_add": [
                    {
                        "header": {"key": "x-turnout-version", "value": version},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                ],
            }
            for version, weight in weights.items()
        ]
    }
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": split, **limits}}
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": protocol,
        "codec_type": "HTTP2" if protocol == "grpc" else "HTTP1",
        "generate_request_id": False,
        "stream_idle_timeout": "0s",  # the deadline bounds a request already
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router", "suppress_envoy_headers": True},
            }
        ],
    }
    return {
        "name": protocol,
        "address": _address(0),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(protocol: str, version: str, port: int) -> dict[str, Any]:
    """A cluster a version and protocol, so that upstream_rq_time is a histogram by version."""
    name = f"{version}-{protocol}"
    config = "http2_protocol_options" if protocol == "grpc" else "http_protocol_options"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
        "circuit_breakers": {
            "thresholds": [{"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY}]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {config: {}},
            }
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
