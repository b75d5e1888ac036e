"""Reads the user's own metrics of a rollout, from Prometheus or a webhook, all at the same time."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import httpx
from pydantic import BaseModel, Field, ValidationError

from deployer.document.model import ModelDeployment
from deployer.document.rollout import Metric
from deployer.rollout.providers import bounded
from deployer.rollout.providers.prometheus import Prometheus, Unread, filled, status_line

TIMEOUT = 2.0
"""Seconds for a webhook's answer."""


class _Answer(BaseModel):
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Metrics:
    """`prometheus`: who is asked for queries; None: nobody. Closes its connections with `close`."""

    def __init__(self, prometheus: Prometheus | None) -> None:
        self._prometheus = prometheus
        self._client = bounded.client(TIMEOUT)
        self._threads = ThreadPoolExecutor(8, "metrics")

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    def read(self, document: ModelDeployment, stable: str, canary: str, weight: float) -> dict[str, float | str]:
        """The values by name; for each that can't be read, why."""
        declared = document.spec.rollout.objectives.metrics if document.spec.rollout is not None else ()
        asked = {
            metric.name: self._threads.submit(self._value, metric, document, stable, canary, weight)
            for metric in declared
        }
        values: dict[str, float | str] = {}
        for name, answer in asked.items():
            try:
                values[name] = answer.result()
            except Unread as error:
                values[name] = str(error)
        return values

    def _value(self, metric: Metric, document: ModelDeployment, stable: str, canary: str, weight: float) -> float:
        if metric.webhook is not None:
            return self._posted(metric.webhook, document, stable, canary, weight)
        if self._prometheus is None:
            raise Unread("no Prometheus is known (`turnout up --prometheus`, or the chart's operator.prometheus)")
        return self._prometheus.number(filled(metric.query or "", document, stable, canary))

    def _posted(self, url: str, document: ModelDeployment, stable: str, canary: str, weight: float) -> float:
        names = {"namespace": document.metadata.namespace, "deployment": document.metadata.name}
        body = {**names, "stable": stable, "canary": canary, "weight": weight}
        try:
            answer = self._client.post(url, json=body)
            if not answer.is_success:
                raise Unread(f"its webhook answers {status_line(answer)}")
            value = _Answer.model_validate_json(answer.content).value
        except (httpx.InvalidURL, UnicodeError):  # the latter by a host such as a..b
            raise Unread("its webhook has no valid address") from None
        except httpx.TimeoutException:
            raise Unread(f"its webhook does not answer within {TIMEOUT:g} s") from None
        except httpx.RequestError as error:
            raise Unread(f"its webhook does not answer: {error or type(error).__name__}") from None
        except ValidationError:
            raise Unread('its webhook answers something else than {"value": number}') from None
        if not math.isfinite(value):
            raise Unread(f"its webhook answers {value}")
        return value
