"""The rig's keys and certificates, by openssl: elliptic curves, since those take no time to make."""

from __future__ import annotations

import subprocess
from pathlib import Path

_DAYS = 2
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates:
    """An authority and one certificate for all of the rig's servers, in `folder`."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        """`names`: such as `DNS:localhost` and `IP:127.0.0.1`."""
        folder.mkdir()
        self.authority = folder / "ca.crt"
        self.certificate, self.key = folder / "server.crt", folder / "server.key"
        self.signing_key = folder / "ca.key"
        """The authority's; it signs service accounts' tokens, too."""
        signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _request(self.signing_key, self.authority, "turnout-rig", *signs)
        _request(
            *(self.key, self.certificate, "turnout-rig-servers"),
            *("-CA", str(self.authority), "-CAkey", str(self.signing_key)),
            *("-addext", f"subjectAltName={','.join(names)}"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"),
        )


def _request(key: Path, certificate: Path, name: str, *arguments: str) -> None:
    command = ("openssl", "req", "-x509", *_KEY, "-days", str(_DAYS), "-subj", f"/CN={name}", *arguments)
    subprocess.run((*command, "-keyout", key, "-out", certificate), check=True, capture_output=True)
