"""Model servers that tests play, as for the tests of the gateway."""

from tests.gateway.conftest import grpc_servers, loop, servers

__all__ = ["grpc_servers", "loop", "servers"]
