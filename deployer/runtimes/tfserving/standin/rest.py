"""The REST API, as an ASGI application. Predictions run in a pool of threads, so that status is told meanwhile."""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from . import examples, json_tensors
from .catalogue import Catalogue
from .errors import HTTP_STATUS, ServingError, invalid

log = logging.getLogger(__name__)
_MODEL = r"([^/:]+)"
_VERSION = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_PREDICTION = re.compile(rf"/v1/models/{_MODEL}{_VERSION}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_DESCRIPTION = re.compile(rf"/v1/models(?:/{_MODEL})?{_VERSION}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_MOST_INFLATED = 256 << 20
"""Bytes that a compressed body may grow to."""

Scope = MutableMapping[str, Any]


class Rest:
    """The ASGI application."""

    def __init__(self, catalogue: Catalogue, pool: Executor) -> None:
        self._catalogue = catalogue
        self._pool = pool

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Callable[[Scope], Awaitable[None]]
    ) -> None:
        body = bytearray()
        more = True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            more = part.get("more_body", False)
        path = scope["raw_path"].decode("latin-1")
        if not path.lower().startswith("/v1/"):
            status, answer, kind = 404, b"Not Found", b"text/plain"
        else:
            loop = asyncio.get_running_loop()
            status, answer = await loop.run_in_executor(self._pool, self._answer, scope, path, bytes(body))
            kind = b"application/json"
        headers = [(b"content-type", kind), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: Scope, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            return 200, self._handle(scope["method"], path, _plain(scope, body))
        except ServingError as error:
            return HTTP_STATUS.get(error.code, 500), json_tensors.write({"error": error.message})
        except Exception:  # a fault of ours: the caller gets no traceback, the log does
            log.exception("%s %s", scope["method"], path)
            return 500, json_tensors.write({"error": "internal error of the stand-in; its log tells more"})

    def _handle(self, method: str, path: str, body: bytes) -> bytes:
        if method == "POST" and (match := _PREDICTION.fullmatch(path)):
            name, version, label, verb = match.groups()
            spec = _spec(name, version, label)
            # The path's case is ignored, the verb's is not: so it is with the real server.
            if verb == "predict":
                return self._predict(spec, json_tensors.parse(body))
            if verb == "classify":
                return self._classify(spec, json_tensors.parse(body))
            if verb == "regress":
                return self._regress(spec, json_tensors.parse(body))
        if method == "GET" and (match := _DESCRIPTION.fullmatch(path)):
            name, version, label, metadata = match.groups()
            if not name:
                raise invalid("Missing model name in request.")
            spec = _spec(name, version, label)
            return self._metadata(spec) if metadata == "metadata" else _json(self._catalogue.status(spec)).encode()
        raise invalid(f"Malformed request: {method} {path}")

    def _predict(self, spec: Any, document: dict[str, Any]) -> bytes:
        name = json_tensors.signature_name(document)
        servable = self._catalogue.servable(spec)
        signature = servable.signatures.get(name or "serving_default")
        if signature is None:
            raise invalid(f'Serving signature name: "{name or "serving_default"}" not found in signature def')
        if not signature.inputs:
            raise invalid(f"Failed to get input map for signature: {name or 'DEFAULT'}")
        inputs, rows = json_tensors.inputs(document, signature.inputs)
        return json_tensors.predictions(servable.predict(name, inputs), rows=rows)

    def _classify(self, spec: Any, document: dict[str, Any]) -> bytes:
        name, inputs = json_tensors.signature_name(document), examples.from_json(document)
        result = examples.classify(self._catalogue.servable(spec), name, inputs)
        rows = [
            [[label.label, json_tensors.short_float(label.score)] for label in row.classes]
            for row in result.classifications
        ]
        return json_tensors.write({"results": rows})

    def _regress(self, spec: Any, document: dict[str, Any]) -> bytes:
        name, inputs = json_tensors.signature_name(document), examples.from_json(document)
        result = examples.regress(self._catalogue.servable(spec), name, inputs)
        return json_tensors.write({"results": [json_tensors.short_float(row.value) for row in result.regressions]})

    def _metadata(self, spec: Any) -> bytes:
        servable = self._catalogue.servable(spec)
        answered = model_pb2.ModelSpec(name=servable.name)
        answered.version.value = servable.version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        return f'{{"model_spec":{_json(answered)},"metadata":{{"signature_def":{_json(signatures)}}}}}'.encode()


def _spec(name: str, version: str | None, label: str | None) -> Any:
    spec = model_pb2.ModelSpec(name=unquote(name))
    if version:
        if int(version) >= 2**63:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = unquote(label)
    return spec


def _json(message: Any) -> str:
    text: str = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return text


def _plain(scope: Scope, body: bytes) -> bytes:
    encoding = dict(scope["headers"]).get(b"content-encoding", b"").lower()
    if encoding in (b"", b"identity"):
        return body
    if encoding != b"gzip":
        raise ServingError(StatusCode.INVALID_ARGUMENT, f"content-encoding {encoding.decode('latin-1')} is not gzip")
    try:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        plain = inflater.decompress(body, _MOST_INFLATED)
    except zlib.error as error:
        raise invalid(f"the body is no gzip: {error}") from None
    if not inflater.eof:
        raise invalid("the compressed body is cut off, or too large when inflated")
    return plain
