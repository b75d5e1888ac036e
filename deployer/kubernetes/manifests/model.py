"""How a model gets to where its server looks for it. Pure.

A path in the image is used as it is, a claim is mounted, and the rest is fetched by a container that runs before the
server. That one is rclone's: one small, well-known image, which has clients of S3, Google's storage and HTTP, a shell
and tar. Its credentials are those of the pod: its service account, and variables from `pod.envFrom` such as
AWS_ACCESS_KEY_ID or RCLONE_S3_ENDPOINT.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from deployer.document.fields import LABEL_PATTERN
from deployer.document.model_uri import absolute, is_local
from deployer.kubernetes.manifests.basics import Object

FOLDER = "/mnt/models"
"""Below it lies what is mounted, fetched or linked."""
FETCHER = "rclone/rclone:1.71.1"

_VOLUME = "model"
_ARCHIVE = re.compile(r"\.(?:tar(?P<gzip>\.gz)?|(?P<tgz>tgz))$")

# Each starts anew: after a failure the folder holds what was there then. None has $(…), which Kubernetes would expand.
# A store has no folders: copying from a prefix that no object has succeeds, with nothing.
_FOUND = """\
if [ -z "`find "$2" -type f 2>/dev/null | head -n 1`" ]; then
  echo "there is nothing at ${1#:}: check the path, and what the pod's credentials may list" >&2
  exit 1
fi
"""
_STORE = """\
set -eu
rm -rf "$2"
export RCLONE_S3_ENV_AUTH=true RCLONE_GCS_ENV_AUTH=true RCLONE_S3_PROVIDER="${RCLONE_S3_PROVIDER:-AWS}"
"""
_COPY = f"""\
{_STORE}rclone copy "$1" "$2"
{_FOUND}"""
# The folder of the version, or that of the model with the version's below it, as the server itself is given it.
_COPY_SERVABLE = f"""\
{_STORE}for from in "${{1%/}}" "${{1%/}}/$3"; do
  case "`rclone lsf "$from"`" in *saved_model.pb*|*.tflite*)
    rclone copy "$from" "$2"
    exit
  esac
done
echo "there is no saved_model.pb at ${{1#:}}, nor in $3 below it: check the path, the number, and what the pod's" \
  "credentials may list" >&2
exit 1
"""
_UNPACK = (
    """\
set -euo pipefail
rm -rf "$2" "$2.unpacked"
mkdir -p "$2.unpacked"
rclone copyurl "$1" --stdout | tar "$3" - -C "$2.unpacked"
cd "$2.unpacked"
# An archive of one folder is an archive of what is in that folder.
inside=`ls -A`
if [ -d "$inside" ]; then cd "$inside"; fi
mv "$PWD" "$2"
"""
    + _FOUND
)
_DOWNLOAD = """\
set -eu
mkdir -p "$2"
rclone copyurl "$1" "$2/$3"
"""
_LINK = """\
set -eu
mkdir -p "${2%/*}"
ln -sfn "$1" "$2"
"""


class NoSuchPlace(ValueError):
    """A model that can't be brought where its server needs it; the text says why and what to do."""


@dataclass(frozen=True)
class Placed:
    """A model in the pod.

    `path` is where the server finds it. `before` are containers that run before the server, without what all containers
    of the pod have in common.
    """

    path: str
    before: tuple[Object, ...] = ()
    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()


def placed(
    model: str,
    image: str,
    name: str | None = None,
    folder: bool = False,
    alone: bool = False,
    servable: str | None = None,
) -> Placed:
    """`model` in a pod whose server is `image`.

    Where `name` is given, the path ends in it, since the server looks for that name; `folder` says that a single file
    won't do, `alone` that the server would see what lies beside it, too. `servable`: the number of a SavedModel, which
    may lie in a folder of that name below `model`.

    Raises:
        NoSuchPlace: as it says.
    """
    target = f"{FOLDER}/{name or 'model'}"
    if is_local(model):
        path = absolute(model, "/")
        if name is None or (path.endswith(f"/{name}") and not alone):
            return Placed(path)
        return _made(target, {"name": "model", "image": image, **_script(_LINK, path, target)})
    scheme, rest = model.split("://", 1)
    match scheme.lower():
        case "pvc":
            return _claimed(rest, name)
        case "s3" | "gs" as store:
            remote = f":{'gcs' if store == 'gs' else store}:{rest}"
            script = (
                _script(_COPY, remote, target)
                if servable is None
                else _script(_COPY_SERVABLE, remote, target, servable)
            )
            return _made(target, {"name": "model", "image": FETCHER, **script})
    return _downloaded(model, target, name is None, folder)


def _claimed(rest: str, name: str | None) -> Placed:
    claim, _, path = rest.partition("/")
    path = posixpath.normpath(path.strip("/"))
    if not all(re.fullmatch(LABEL_PATTERN, part) for part in claim.split(".")) or len(claim) > 253:
        raise NoSuchPlace(f"{claim!r} is no claim's name; write pvc://CLAIM/PATH")
    if path.startswith("..") or ":" in path:
        raise NoSuchPlace(f"{path!r} is no path in a claim; write one without .. and colons")
    target = f"{FOLDER}/{name or posixpath.basename(path)}" if path != "." or name else FOLDER
    mount: Object = {"name": _VOLUME, "mountPath": target, "readOnly": True}
    if path != ".":
        mount["subPath"] = path
    return Placed(target, volumes=({"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}},), mounts=(mount,))


def _downloaded(url: str, target: str, file_will_do: bool, folder: bool) -> Placed:
    path = unquote(urlsplit(url).path)
    if archive := _ARCHIVE.search(path.lower()):
        unpack = "-xzf" if archive["gzip"] or archive["tgz"] else "-xf"
        return _made(target, {"name": "model", "image": FETCHER, **_script(_UNPACK, url, target, unpack)})
    file = posixpath.basename(path)
    if folder or not file:
        raise NoSuchPlace("over HTTP a folder comes packed; write the address of a .tar, .tar.gz or .tgz")
    made = _made(target, {"name": "model", "image": FETCHER, **_script(_DOWNLOAD, url, target, file)})
    return Placed(f"{target}/{file}", made.before, made.volumes, made.mounts) if file_will_do else made


def _made(target: str, container: Object) -> Placed:
    mount = {"name": _VOLUME, "mountPath": FOLDER}
    return Placed(
        target,
        # What it says last is told in the status.
        before=({**container, "terminationMessagePolicy": "FallbackToLogsOnError", "volumeMounts": [mount]},),
        volumes=({"name": _VOLUME, "emptyDir": {}},),
        mounts=({**mount, "readOnly": True},),
    )


def _script(script: str, *arguments: str) -> Object:
    return {"command": ["sh", "-c", script, "model", *arguments]}
