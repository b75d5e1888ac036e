from __future__ import annotations

import pytest
from click.testing import CliRunner

from deployer.cli.main import cli


@pytest.mark.parametrize("service", ["", "gateways", "/gateways", "turnout/", "turnout/gateways/more"])
def test_the_gateways_service_needs_both_its_names(service: str) -> None:
    refused = CliRunner().invoke(cli, ["operator", "--gateways", service])
    assert refused.exit_code == 2
    assert "namespace and name, such as" in " ".join(refused.output.split())
