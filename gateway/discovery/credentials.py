"""How to reach an API server: as a pod of its cluster, or as a person by a kubeconfig."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """There is nothing that says how to reach the API server, or it can't be used."""


@dataclass(frozen=True)
class Credentials:
    """Files are read again for each client, tokens for each request: they are replaced before they expire."""

    server: str
    authority: Path | str | None = None
    """The certificates to trust: a file, or PEM; those of the system where nothing is said."""
    checked: bool = True
    """False: whoever answers is trusted, as a kubeconfig may ask for."""
    token: Path | str | None = None
    certificate: tuple[Path | str, Path | str] | None = None
    """The client's, and its key."""

    def client(self) -> httpx.AsyncClient:
        """Raises OSError, also where a certificate can't be used."""
        trust: ssl.SSLContext | bool = False
        if self.server.startswith("https"):
            trust = self._trust()
        return httpx.AsyncClient(
            base_url=self.server, verify=trust, auth=_Token(self.token), timeout=httpx.Timeout(30, connect=5)
        )

    def _trust(self) -> ssl.SSLContext:
        if isinstance(self.authority, Path):
            context = ssl.create_default_context(cafile=self.authority)
        else:
            context = ssl.create_default_context(cadata=self.authority)
        if not self.checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            with tempfile.TemporaryDirectory() as folder:
                certificate, key = self.certificate
                context.load_cert_chain(
                    _on_disk(certificate, Path(folder) / "crt"), _on_disk(key, Path(folder) / "key")
                )
        return context


class _Token(httpx.Auth):
    def __init__(self, token: Path | str | None) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        token = self._token.read_text().strip() if isinstance(self._token, Path) else self._token
        if token:
            request.headers["authorization"] = f"Bearer {token}"
        yield request


def find(environment: Mapping[str, str] = os.environ, pod: Path = POD_FOLDER) -> Credentials:
    """The pod's own service account where there is one, else the kubeconfig.

    Raises ConfigError.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST")
    if host and (pod / "token").exists():
        host = f"[{host}]" if ":" in host else host
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        return Credentials(f"https://{host}:{port}", authority=pod / "ca.crt", token=pod / "token")
    path = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    try:
        return _by_kubeconfig(YAML(typ="safe").load(path.read_bytes()), path.parent)
    except OSError as error:
        raise ConfigError(
            f"no cluster to follow: this is no pod with a service account, and the kubeconfig {path} can't be read: "
            f"{error.strerror}; set KUBECONFIG, or run with --discovery file"
        ) from None
    except (YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the kubeconfig {path} can't be used: {error!r}") from None


def _by_kubeconfig(config: Any, folder: Path) -> Credentials:
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"] or {}
    for unknown in ("exec", "auth-provider", "username"):
        if unknown in user:
            raise ConfigError(
                f"user {context['user']}: {unknown!r} is not supported; use a token, tokenFile or client certificate"
            )
    certificate = _content_or_path(user, "client-certificate", folder), _content_or_path(user, "client-key", folder)
    return Credentials(
        server=cluster["server"].rstrip("/"),
        authority=_content_or_path(cluster, "certificate-authority", folder),
        checked=not cluster.get("insecure-skip-tls-verify", False),
        token=folder / user["tokenFile"] if "tokenFile" in user else user.get("token"),
        certificate=None if certificate[0] is None or certificate[1] is None else (certificate[0], certificate[1]),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)


def _content_or_path(values: dict[str, Any], name: str, folder: Path) -> Path | str | None:
    """As text where it stands in the kubeconfig itself, else the file, which is named from the kubeconfig's folder."""
    if f"{name}-data" in values:
        try:
            return base64.b64decode("".join(values[f"{name}-data"].split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(f"{name}-data is not base64") from None
    return folder / values[name] if name in values else None


def _on_disk(file: Path | str, at: Path) -> Path:
    if isinstance(file, Path):
        return file
    at.touch(0o600)
    at.write_text(file)
    return at
