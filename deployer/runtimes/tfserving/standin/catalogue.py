"""Which versions of which models there are, how far each has come, and which of them a request means.

Unlike the real server, this one listens before its models are loaded, and stays when one does not load: whoever waits
for it can read why in the model's status.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpc import StatusCode
from tensorflow_serving.apis import get_model_status_pb2

from .errors import ServingError, invalid
from .servable import Servable

State = get_model_status_pb2.ModelVersionStatus.State
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """How far one version has come. There is a servable exactly while it is available."""

    state: int
    servable: Servable | None = None
    error: ServingError | None = None


class Catalogue:
    """The models of the configuration and their versions on disk.

    Parameters:
        configs: ModelConfig messages.
        load: makes a servable of a model's name, a version and its folder; raises ServingError.
        early_labels: whether labels may point at versions that are not available.
    """

    def __init__(
        self, configs: Sequence[Any], load: Callable[[str, int, Path], Servable], *, early_labels: bool
    ) -> None:
        self._configs = {config.name: config for config in configs}
        self._load = load
        self._early_labels = early_labels
        self._versions: dict[str, dict[int, Version]] = {name: {} for name in self._configs}
        self._stopped = threading.Event()

    def watch(self, seconds: float) -> threading.Thread:
        """Load what is there, then look again every so many seconds, in a thread of its own; 0: never again."""

        def run() -> None:
            self.refresh()
            while seconds > 0 and not self._stopped.wait(seconds):
                self.refresh()

        thread = threading.Thread(target=run, name="catalogue", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self._stopped.set()

    def refresh(self) -> None:
        """Load the versions that ought to be served and aren't yet; then unload those that ought not to be any more."""
        for name, config in self._configs.items():
            known = self._versions[name]
            wanted = _wanted(config)
            for number in wanted:
                if number not in known:
                    known[number] = Version(State.START)
            for number, folder in wanted.items():
                if known[number].state == State.START:
                    self._load_one(name, number, folder)
            for number, version in list(known.items()):
                if number not in wanted and version.servable is not None:
                    known[number] = Version(State.END)  # requests that it answers still hold the servable
                elif number not in wanted and version.state == State.END:
                    del known[number]  # so that the version is loaded anew if it comes back

    def _load_one(self, name: str, number: int, folder: Path) -> None:
        known = self._versions[name]
        known[number] = Version(State.LOADING)
        try:
            known[number] = Version(State.AVAILABLE, servable=self._load(name, number, folder))
            log.warning("version %d of model %s is available", number, name)
        except ServingError as error:
            known[number] = Version(State.END, error=error)
            log.error("version %d of model %s does not load: %s", number, name, error)

    def servable(self, spec: Any) -> Servable:
        """The servable that a ModelSpec means."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        versions = self._versions.get(spec.name, {})
        if choice is None:
            available = [number for number, version in list(versions.items()) if version.servable is not None]
            number, request = max(available, default=-1), f"Latest({spec.name})"
        else:
            number = spec.version.value if choice == "version" else self._labelled(spec.name, spec.version_label)
            request = f"Specific({spec.name}, {number})"
        version = versions.get(number)
        if version is None or version.servable is None:
            raise ServingError(StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
        return version.servable

    def _labelled(self, name: str, label: str) -> int:
        labels = self._configs[name].version_labels if name in self._configs else {}
        if label in labels:
            number = int(labels[label])
            version = self._versions[name].get(number)
            if self._early_labels or (version is not None and version.servable is not None):
                return number
        raise invalid(f"Unrecognized servable version label: {label}")

    def status(self, spec: Any) -> Any:
        """GetModelStatus' answer. A label is not looked at: all versions are told, as the real server does."""
        versions = dict(self._versions.get(spec.name, {}))
        if spec.WhichOneof("version_choice") == "version":
            number = spec.version.value
            if number not in versions:
                raise ServingError(StatusCode.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            versions = {number: versions[number]}
        elif not versions:
            raise ServingError(StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number, version in sorted(versions.items(), reverse=True):
            item = answer.model_version_status.add(version=number, state=version.state)
            item.status.error_code = 0 if version.error is None else version.error.code.value[0]
            item.status.error_message = "" if version.error is None else version.error.message
        return answer


def _wanted(config: Any) -> dict[int, Path]:
    """The versions that the policy asks for, of those on disk: number and folder."""
    base = Path(config.base_path)
    try:
        found = {int(item.name): item for item in base.iterdir() if _is_number(item.name) and item.is_dir()}
    except OSError as error:
        log.error("the folder of model %s can't be read: %s", config.name, error)
        return {}
    policy = config.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return found
        case "specific":
            return {number: folder for number, folder in found.items() if number in policy.specific.versions}
        case _:
            newest = sorted(found, reverse=True)[: policy.latest.num_versions or 1]
            return {number: found[number] for number in newest}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
