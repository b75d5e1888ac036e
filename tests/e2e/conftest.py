"""Model servers that tests play and gateways in this process, as for the tests of the gateway."""

from tests.integration.gateway.conftest import grpc_servers, loop, servers, start_gateway

__all__ = ["grpc_servers", "loop", "servers", "start_gateway"]
