"""Runs a parent as `turnout-gateway` does, with other workers. Arguments: settings and their command, both JSON."""

import asyncio
import json
import sys

import uvloop
from pydantic import TypeAdapter

from gateway import logs
from gateway.parent.parent import Parent
from gateway.settings import Settings


async def main() -> None:
    await Parent(TypeAdapter(Settings).validate_json(sys.argv[1]), command=json.loads(sys.argv[2])).serve()


logs.set_up("parent")
asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
