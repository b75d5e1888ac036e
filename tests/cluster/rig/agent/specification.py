"""What the launcher is told about a container. Pure but for this machine's own folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.rig.agent.api import Object
from tests.cluster.rig.agent.fields import expanded
from tests.cluster.rig.images import CHECKOUT, Image

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_NEEDED = tuple(os.path.realpath(path) for path in (CHECKOUT, _CACHE, sys.prefix, sys.base_prefix))


class NotAllowed(Exception):
    """The pod's security context forbids to run this container."""


def hostname(pod: Object) -> str:
    """Its own name for itself, at most 63 characters."""
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"][:63].rstrip("-.")
    return name


def specification(
    pod: Object,
    container: Object,
    image: Image,
    env: Mapping[str, str],
    mounts: Sequence[tuple[str, str, bool]],
    scratch: Path,
) -> Object:
    """`scratch`: an empty folder of the container's own.

    Raises:
        NotAllowed: it would run as root, and is not to.
    """
    security = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    user = security.get("runAsUser", image.user)
    if security.get("runAsNonRoot") and user == 0:
        raise NotAllowed("container has runAsNonRoot and image will run as root")
    group = security.get("runAsGroup", 0)
    groups = {group, *security.get("supplementalGroups", []), *([security["fsGroup"]] if "fsGroup" in security else [])}
    command, arguments = container.get("command"), container.get("args")
    argv = [*command, *(arguments or [])] if command else [*image.entrypoint, *(arguments or image.command)]
    name = hostname(pod)
    binds = [*((str(source), path, True) for path, source in image.folders.items()), *mounts]
    return {
        "scratch": os.path.realpath(scratch),
        "needed": _NEEDED,
        "files": {
            "/etc/hostname": f"{name}\n",
            # There is no name server; to be told so at once is better than to wait for one that can't be reached.
            "/etc/resolv.conf": "nameserver 127.0.0.1\n",
        },
        "scripts": dict(image.scripts),
        # As they are on this machine without links: those would lead elsewhere in the container.
        "mounts": [(os.path.realpath(source), path, read_only) for source, path, read_only in binds],
        "readOnlyRoot": security.get("readOnlyRootFilesystem", False),
        "noNewPrivileges": security.get("allowPrivilegeEscalation") is False,
        "hostname": name,
        "uid": user,
        "gid": group,
        "groups": sorted(groups),
        "folder": container.get("workingDir") or image.folder,
        "argv": [expanded(part, dict(env)) for part in argv],
        "env": dict(env),
    }
