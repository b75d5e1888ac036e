"""The rules of what a version says of its pods, much of which Kubernetes would refuse only later.

Pure, over plain data, as `rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.document.values import Path, Violation, items, one_of

RESERVED = ("/dev", "/etc/turnout", "/mnt/models", "/proc", "/sys", "/var/run/secrets/kubernetes.io")
"""Where the system or Turnout itself mounts something."""


def broken_pod(pod: dict[str, Any], path: Path) -> Iterator[Violation]:
    """Each rule that the `pod` of a version breaks, which stands at `path`."""
    for index, toleration in enumerate(items(pod, "tolerations")):
        if isinstance(toleration, dict):
            yield from _toleration(toleration, (*path, "tolerations", index))
    for index, source in enumerate(items(pod, "envFrom")):
        yield from one_of(source, ("secret", "configMap"), (*path, "envFrom", index))
    taken: dict[object, int] = {}
    for index, volume in enumerate(items(pod, "volumes")):
        yield from one_of(volume, ("secret", "configMap", "pvc"), (*path, "volumes", index))
        where = volume.get("path") if isinstance(volume, dict) else None
        if isinstance(where, str):
            yield from _mounted(where, taken.setdefault(where, index), (*path, "volumes", index, "path"))


def _toleration(toleration: dict[str, Any], path: Path) -> Iterator[Violation]:
    if toleration.get("operator") == "Exists":
        if toleration.get("value"):
            yield Violation((*path, "value"), "Exists takes any value", "leave it out, or write operator: Equal")
    elif not toleration.get("key"):
        yield Violation((*path, "key"), "there is no key to compare the value of", "write one, or operator: Exists")
    if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
        yield Violation(
            (*path, "tolerationSeconds"), "only NoExecute ends pods after a time", "write effect: NoExecute"
        )


def _mounted(where: str, first: int, path: Path) -> Iterator[Violation]:
    reserved = next((name for name in RESERVED if where == name or where.startswith(f"{name}/")), None)
    if reserved:
        yield Violation(path, f"{reserved} is taken, by the system or by Turnout", "mount it elsewhere")
    if path[-2] != first:
        yield Violation(path, f"volumes[{first}] is mounted at {where} already", "mount one of the two elsewhere")
