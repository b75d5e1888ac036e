"""The cluster that the tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import tools
from tests.cluster.installed import Installed
from tests.cluster.rig.cluster import Cluster, enter
from tests.fakes.needs import lacking


@pytest.fixture(scope="session")
def outside() -> Iterator[Path]:
    """The network namespace that the tests were started in."""
    with open("/proc/thread-self/ns/net") as namespace:
        yield Path(f"/proc/{os.getpid()}/fd/{namespace.fileno()}")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> Iterator[Cluster]:
    """One for all tests, which run in its network namespace from here on: Services answer at their addresses."""
    missing = tools.missing("go", "ip", "openssl")
    if os.geteuid() != 0:
        missing.append("network namespaces need root: run the tests as root")
    if missing:
        lacking("; ".join(missing))
    cluster = Cluster.start(tmp_path_factory.mktemp("cluster"))
    try:
        enter(cluster.netns)
        yield cluster
        cluster.check()
    finally:
        enter(outside)
        cluster.stop()


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Installed]:
    """The chart, as a newcomer installs it, for the tests of one file: others have an operator of their own."""
    installed = Installed(cluster, "gateway.workers=1")
    yield installed
    installed.uninstall()
