"""The state folder: what should run (written by the commands), what runs (written by the supervisor).

It takes the part of Kubernetes' API server: commands write documents and read statuses, and the supervisor makes the
one follow from the other (0025-the-state-folder-is-the-api). Files are replaced whole, so that a reader sees the old or
the new.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from deployer.errors import TurnoutError
from deployer.local.processes import Identity
from deployer.rollout.state import Action
from gateway.contract.mistakes import first_mistake

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment

Fingerprint = dict[str, tuple[int, int]]
"""Of the files in a folder, by their stems: inodes, times."""

GATEWAY = "gateway"
"""The stem of the gateway's record and log. No replica's can equal it: theirs have dots."""


class Record(BaseModel):
    """What is kept about one process, so that the next supervisor can adopt it."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    """The deployment's key, `namespace/name`; "" for the gateway."""
    version: str
    index: int
    """Tells the replicas of a version apart: 0, 1, …"""
    identity: Identity = Identity(marker="")
    digest: str = ""
    """Of what it was started with: where the same start would differ now, it no longer matches."""
    ports: dict[str, int]
    ready: bool = False

    @property
    def name(self) -> str:
        """The stem of its record and of its log."""
        return stem(self.deployment, self.version, self.index) if self.deployment else GATEWAY


class RequestedAction(BaseModel):
    """What a person asked of a rollout. It stays until the next: `token` tells whether it was taken already."""

    model_config = ConfigDict(frozen=True)

    token: str
    action: Action


class StateFolder:
    """The paths and files of one state folder; the folder is made if it is missing.

    Raises:
        TurnoutError: it can't be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.routes = root / "routes.json"
        self.gateway = root / "gateway.json"
        self.logs = root / "logs"
        self.work = root / "work"
        self._documents = root / "documents"
        self._statuses = root / "status"
        self._records = root / "processes"
        self._rollouts = root / "rollouts"
        self._actions = root / "actions"
        folders = (self._documents, self._statuses, self._records, self._rollouts, self._actions, self.logs, self.work)
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                hint = "choose another by --state or TURNOUT_STATE"
                raise TurnoutError(f"{root} can't be the state folder: {error.strerror}; {hint}") from None

    # What should run

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Hold off other commands while a document is read, changed and written."""
        with open(self.root / "documents.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def keys(self) -> list[str]:
        """Of all documents, in the order of their names. None is read, which takes long where there are hundreds."""
        return [_key(stem) for stem in sorted(_fingerprint(self._documents))]

    def document(self, key: str) -> ModelDeployment | None:
        """One document, if there is one of that key.

        Raises:
            TurnoutError: it can't be read, or is another one's: only a hand or another release can have written it.
        """
        # Not at the top: with all runtimes behind it, it takes longer than all else that `turnout status` does.
        from deployer.document.model import ModelDeployment

        path = self._documents / f"{_stem(key)}.json"
        with suppress(FileNotFoundError):
            document = _read(path, ModelDeployment)
            if document.key != key:
                raise TurnoutError(f"{path} describes {document.key}; call it {_stem(document.key)}.json, or delete it")
            return document
        return None

    def documents(self) -> list[ModelDeployment]:
        """All documents, in the order of their names.

        Raises:
            TurnoutError: as `document`.
        """
        found = map(self.document, self.keys())
        return [document for document in found if document is not None]  # else deleted meanwhile

    def fingerprint(self) -> Fingerprint:
        """By their keys; another with each change of a document, and cheap enough to be asked ten times a second."""
        return {_key(stem): file for stem, file in _fingerprint(self._documents).items()}

    def write_document(self, document: ModelDeployment) -> None:
        """Let it be what should run, in place of an earlier one of its key."""
        replace(self._documents / f"{_stem(document.key)}.json", _as_written(document))

    def delete_document(self, key: str) -> None:
        """Let nothing of it run, and another one of its name begin anew."""
        for folder in (self._documents, self._rollouts, self._actions):
            (folder / f"{_stem(key)}.json").unlink(missing_ok=True)

    # What runs

    def status(self, key: str) -> bytes | None:
        """What was last written of a deployment, if anything."""
        with suppress(FileNotFoundError):
            return _content(self._statuses / f"{_stem(key)}.json")
        return None

    def write_status(self, key: str, status: BaseModel) -> None:
        replace(self._statuses / f"{_stem(key)}.json", _json(status))

    def keep_statuses(self, keys: set[str]) -> None:
        """Delete the statuses of all other deployments."""
        _keep(self._statuses, keys)

    # Rollouts

    def rollout(self, key: str) -> str | None:
        """What is kept of a deployment's rollouts, if anything."""
        with suppress(FileNotFoundError):
            return _content(self._rollouts / f"{_stem(key)}.json").decode(errors="replace")
        return None

    def write_rollout(self, key: str, checkpoint: str) -> None:
        replace(self._rollouts / f"{_stem(key)}.json", checkpoint.encode())

    def action(self, key: str) -> RequestedAction | None:
        """The last that was asked of a deployment's rollout, if there was one. One that can't be read is none."""
        with suppress(FileNotFoundError, TurnoutError):
            return _read(self._actions / f"{_stem(key)}.json", RequestedAction)
        return None

    def actions(self) -> Fingerprint:
        """Changes with each action that is asked for, of whichever rollout."""
        return _fingerprint(self._actions)

    def write_action(self, key: str, action: Action) -> str:
        """Ask it of the deployment's rollout, in place of what was asked before; gives its token."""
        requested = RequestedAction(token=secrets.token_hex(8), action=action)
        replace(self._actions / f"{_stem(key)}.json", _json(requested))
        return requested.token

    def keep_rollouts(self, keys: set[str]) -> None:
        """Delete what is kept of all other deployments' rollouts, and what was asked of them."""
        _keep(self._rollouts, keys)
        _keep(self._actions, keys)

    def records(self) -> list[Record]:
        """All records that can be read; a broken one tells nothing that could be acted on, and is deleted."""
        records = []
        for path in sorted(self._records.glob("*.json")):
            try:
                records.append(_read(path, Record))
            except FileNotFoundError:  # deleted meanwhile
                continue
            except TurnoutError:
                path.unlink(missing_ok=True)
        return records

    def write_record(self, record: Record) -> None:
        replace(self._records / f"{record.name}.json", _json(record))

    def delete_record(self, name: str) -> None:
        """One that can't be deleted just now tells of a process that is gone, which is found out by its identity."""
        with suppress(OSError):
            (self._records / f"{name}.json").unlink()

    @property
    def owner(self) -> str:
        """By what name processes know that they belong to this folder."""
        return str(self.root.resolve())

    def log(self, name: str) -> Path:
        """Where the process with the record `name` writes to."""
        return self.logs / f"{name}.log"

    # Who supervises

    @contextmanager
    def supervising(self) -> Iterator[None]:
        """Hold the lock of the folder's one supervisor. The system lets go of it if we are killed.

        Raises:
            TurnoutError: another supervisor holds it.
        """
        with open(self.root / "lock", "a+") as file:
            if not _lock(file.fileno(), fcntl.LOCK_EX):
                raise TurnoutError(
                    f"`turnout up` runs already (process {self.supervisor() or 'unknown'}) on {self.root}; "
                    "change what it runs by `turnout apply`, or choose another folder by --state"
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def supervisor(self) -> int | None:
        """The pid of the running supervisor, if there is one."""
        path = self.root / "lock"
        try:
            with open(path) as file:
                return None if _lock(file.fileno(), fcntl.LOCK_SH, tries=1) else int(file.read())
        except (FileNotFoundError, ValueError):
            return None


def default_root() -> Path:
    """Where the state is unless --state or TURNOUT_STATE says otherwise, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "turnout"


def replace(path: Path, content: bytes) -> None:
    """Write `path` so that a reader sees all of the old content or all of the new.

    Not synced to the disk: after a power cut nothing of what it tells still runs.

    Raises:
        OSError: it can't be written; the error names `path`, and not what else was tried, which is new each time.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def digest(document: ModelDeployment) -> str:
    """What a status names to say which document it is of."""
    return hashlib.sha256(_as_written(document)).hexdigest()[:16]


def _lock(descriptor: int, kind: int, tries: int = 10) -> bool:
    """Take the lock if it is free. Several tries, since who asks whether a supervisor runs holds it for a moment."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left:
                time.sleep(0.02)
    return False


def stem(deployment: str, version: str, index: int) -> str:
    """The name of a replica: `default.digits.v1.0`."""
    return f"{_stem(deployment)}.{version}.{index}"


def _fingerprint(folder: Path) -> Fingerprint:
    """What is no file is passed over: who opens a pipe waits for ever."""
    seen = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                try:
                    stat = entry.stat()
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ELOOP):  # deleted meanwhile, a link to itself
                        raise
                    continue
                if S_ISREG(stat.st_mode):
                    seen[entry.name.removesuffix(".json")] = stat.st_ino, stat.st_mtime_ns
    return seen


def _keep(folder: Path, keys: set[str]) -> None:
    """Delete the files of all other deployments."""
    stems = {_stem(key) for key in keys}
    for path in folder.glob("*.json"):
        if path.stem not in stems:
            path.unlink(missing_ok=True)


def _stem(key: str) -> str:
    return key.replace("/", ".")  # the names have no dots


def _key(stem: str) -> str:
    return stem.replace(".", "/")


def _as_written(document: ModelDeployment) -> bytes:
    """Without what was left out: a section of another runtime than the document's would be a mistake."""
    return document.model_dump_json(indent=1, exclude_none=True, exclude_unset=True).encode()


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1, exclude_none=True).encode()


Model = TypeVar("Model", bound=BaseModel)


def _content(path: Path) -> bytes:
    """Raises FileNotFoundError also where something else is in the file's place: who opens a pipe waits for ever."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    return path.read_bytes()


def _read(path: Path, model: type[Model]) -> Model:
    content = _content(path)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        message = f"{path} can't be read ({first_mistake(error)}); delete it, then apply the deployment again"
        raise TurnoutError(message) from None
