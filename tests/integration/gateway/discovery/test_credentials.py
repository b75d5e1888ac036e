"""How an API server is found, and that the secrets for it are read where they are and when they are needed."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.discovery.credentials import ConfigError, Credentials, find
from tests.fakes.loop import LoopThread
from tests.fakes.rest_servers import Server, always, answer

PEM = "-----BEGIN CERTIFICATE-----"


def kubeconfig(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [
            {"name": "other", "context": {"cluster": "x", "user": "y"}},
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }


def written(folder: Path, config: object) -> dict[str, str]:
    path = folder / "config"
    path.write_text(json.dumps(config))
    return {"KUBECONFIG": str(path)}


SERVER = "https://api.example:6443"


@pytest.mark.parametrize(
    ("user", "cluster", "access"),
    [
        ({"token": "t"}, {}, Credentials(SERVER, token="t")),
        ({"tokenFile": "t"}, {"certificate-authority": "a"}, Credentials(SERVER, Path("a"), token=Path("t"))),
        (None, {"insecure-skip-tls-verify": True}, Credentials(SERVER, checked=False)),
        (
            {"client-certificate-data": base64.b64encode(PEM.encode()).decode(), "client-key": "k"},
            {"certificate-authority-data": base64.b64encode(PEM.encode()).decode()},
            Credentials(SERVER, PEM, certificate=(PEM, Path("k"))),
        ),
    ],
)
def test_a_kubeconfig_says_where_and_as_whom(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], access: Credentials
) -> None:
    def beside(value: Any) -> Any:
        """Files are named from the kubeconfig's folder."""
        return tmp_path / value if isinstance(value, Path) else value

    found = find(written(tmp_path, kubeconfig(user, **cluster)), tmp_path)
    expected = {name: beside(value) for name, value in vars(access).items()}
    if access.certificate is not None:
        expected["certificate"] = tuple(map(beside, access.certificate))
    assert vars(found) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (kubeconfig({"exec": {}}), "user u: 'exec' is not supported; use a token, tokenFile or client certificate"),
        (kubeconfig({}) | {"current-context": "none"}, "can't be used: KeyError('none')"),
        ({"contexts": []}, "can't be used: KeyError('current-context')"),
        ([], "can't be used: TypeError"),
        (kubeconfig({"client-key-data": "*"}), "client-key-data is not base64"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path: Path, config: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find(written(tmp_path, config), tmp_path)
    assert message in str(raised.value)


def test_without_any_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no cluster to follow: .* No such file or directory; set KUBECONFIG, or run"
    ):
        find({"KUBECONFIG": str(tmp_path / "none")}, tmp_path)


@pytest.mark.parametrize(("host", "server"), [("10.0.0.1", "10.0.0.1"), ("fd00::1", "[fd00::1]")])
def test_a_pod_goes_by_its_service_account(tmp_path: Path, host: str, server: str) -> None:
    (tmp_path / "token").write_text("secret")
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443", "KUBECONFIG": "/none"}
    access = find(environment, tmp_path)
    assert access == Credentials(f"https://{server}:6443", authority=tmp_path / "ca.crt", token=tmp_path / "token")


def test_a_token_is_read_for_each_request(tmp_path: Path, loop: LoopThread, servers: Callable[..., Server]) -> None:
    server = servers(always(answer(b"{}")))
    token = tmp_path / "token"

    async def ask() -> None:
        async with Credentials(f"http://127.0.0.1:{server.port}", token=token).client() as client:
            for text in ("one\n", "two"):
                token.write_text(text)
                await client.get("/")

    asyncio.run(ask())
    assert [request.fields[b"authorization"] for request in server.requests] == [b"Bearer one", b"Bearer two"]
