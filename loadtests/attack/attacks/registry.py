"""All attacks, by name, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from loadtests.attack.attacks import answers, descriptors, frames, heads, requests
from loadtests.attack.stage import Stage


class Attack(NamedTuple):
    title: str
    earlier: str
    """What it did before it was seen to, on two cores."""
    run: Callable[[Stage], str]
    """Returns how the attacker's connections ended, or what else it saw."""
    descriptors: int | None = None
    """As many as each process of the gateway may have open."""
    options: tuple[str, ...] = ()
    """The gateway's."""


ATTACKS = {
    "control": Attack("none of the gateway: resets at full speed, at a model server", "", frames.control),
    "many-fields": Attack(
        "200 heads/s of 1,000 fields of a byte each (214 KB/s)", "345 of 505 time out", heads.many_fields
    ),
    "long-values": Attack(
        "30 heads/s with a Huffman string of 60 KB (1.8 MB/s)", "both workers full", heads.long_values
    ),
    "unknown-models": Attack("80 requests/s for unknown models (7 KB/s)", "100 of 504 time out", heads.unknown_models),
    "settings": Attack(
        "16 SETTINGS that move the window 2,730 times, with 1,000 streams (262 KB)", "a stall of 13 s", frames.settings
    ),
    "window-bytes": Attack(
        "20,000 WINDOW_UPDATE of a byte, with 500 answers queued (260 KB)", "stalls of 27 to 68 s", frames.window_bytes
    ),
    "window-flood": Attack("a flood of WINDOW_UPDATE from 4 connections", "404 of 526 time out", frames.window_flood),
    "rapid-reset": Attack(
        "requests that are reset at once, 10 connections at full speed", "219 of 630 time out", frames.rapid_reset
    ),
    "paced-reset": Attack("the same, 9,000 a second", "219 of 630 time out", frames.paced_reset),
    "inflating": Attack("ten gzip messages of 61 KB that inflate to 62 MB", "25 % time out", requests.inflating),
    "unread-answers": Attack(
        "3 connections that let nothing of 900 answers of 300 KB come, then 6 more",
        "843 MB, then 2.7 GB, kept",
        answers.unread,
    ),
    "trickling-answers": Attack(
        "3 such connections that let a byte come now and then, where a request has 5 s",
        "held for ever",
        answers.trickling,
        options=("--timeout", "5"),
    ),
    "http2-heads": Attack("29 MB of heads over 3,000 open streams", "606 MB, kept", heads.http2_memory),
    "http1-heads": Attack(
        "79 MB of HTTP/1.1 heads over 40 connections", "1.2 GB and time-outs, kept", heads.http1_memory
    ),
    "gathered": Attack(
        "20 connections that each send 62 MB of a request and not its end",
        "everyone else is refused",
        requests.gathered,
    ),
    "dead-deployment": Attack(
        "1,000 requests/s to a deployment whose server is gone",
        "the retry budget of all others is gone",
        requests.dead_deployment,
    ),
    "descriptors": Attack(
        "200 idle connections where each process may open 64 descriptors",
        "connections reset; /readyz says ok",
        descriptors.data_port,
        descriptors=64,
    ),
    "admin-port": Attack(
        "200 half-sent requests to the admin port, with 64 descriptors",
        "the admin port is gone",
        descriptors.admin_port,
        descriptors=64,
    ),
}
