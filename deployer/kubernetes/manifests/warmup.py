"""The warm-up on a cluster: a small container beside the server, which is ready once the server has answered it. Pure.

A pod takes traffic when all its containers are ready, so each new replica is warmed, whoever asked for it, with no part
of Turnout running. Model servers' images mostly have no HTTP client of their own, so it is another container. The
kubelet repeats it until it succeeds, and tells why not in the pod's events.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployer.kubernetes.manifests.basics import Object
from deployer.runtimes.base import CONFIG_FOLDER

if TYPE_CHECKING:
    from deployer.document.model import Version

IMAGE = "curlimages/curl:8.15.0"
FILE = "warmup.json"

_WAIT = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
# A file in the container: it is gone when that is started again, and then the server is warmed again. While the server
# starts it is tried again here, since each failure of the probe is an event.
_WARM = """\
[ -e /tmp/warm ] || {
  curl --silent --show-error --fail-with-body --max-time "$2" \\
    --retry 60 --retry-delay 1 --retry-connrefused --retry-max-time "$2" \\
    --header 'Content-Type: application/json' --data-binary "@$1/$3" "$4" && : > /tmp/warm
}
"""


def files(version: Version) -> dict[str, str]:
    """What is written for the container: nothing where there is no warm-up."""
    return {} if version.warmup is None else {FILE: json.dumps(version.warmup, sort_keys=True)}


def containers(version: Version, port: int, path: str, timeout: int) -> list[Object]:
    """The container that sends the warm-up to `path` at `port`, where there is one. A prediction may take `timeout`
    seconds."""
    if version.warmup is None:
        return []
    url = f"http://127.0.0.1:{port}{path}"
    return [
        {
            "name": "warmup",
            "image": IMAGE,
            "command": ["sh", "-c", _WAIT],
            "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
            "readinessProbe": {
                "exec": {"command": ["sh", "-c", _WARM, "warmup", CONFIG_FOLDER, str(timeout), FILE, url]},
                "periodSeconds": 2,
                # More than curl takes with its last try, so that what it says is told.
                "timeoutSeconds": 2 * timeout + 5,
            },
        }
    ]
