"""Namespaces: a pod's network, and a container's root and processes in it. All of them end with the agent's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

BRIDGE, GATEWAY, PREFIX = "pods", "10.244.0.1", 16
LAUNCHER = Path(__file__).resolve().parent / "launcher.py"
_DIES_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "KILL")


class SandboxFailed(Exception):
    """A namespace or a container could not be made; the message is what the tool said."""


class Network:
    """A network namespace with `address` on the bridge, held by a process that sleeps."""

    def __init__(self, holder: subprocess.Process) -> None:
        self._holder = holder
        self.path = f"/proc/{holder.pid}/ns/net"

    @staticmethod
    async def make(address: str, name: str) -> Network:
        """`name`: the interface's on the bridge's side, at most 15 characters."""
        hold = "echo made; exec sleep infinity"
        holder = await asyncio.create_subprocess_exec(
            *_DIES_WITH_US, "/usr/bin/unshare", "--net", "/bin/sh", "-c", hold, stdout=subprocess.PIPE
        )
        network = Network(holder)
        try:
            assert holder.stdout is not None
            await holder.stdout.readline()
            # An address always has the same hardware address: what neighbours remember of it stays true.
            hardware = "0a:58:" + ":".join(f"{int(part):02x}" for part in address.split("."))
            peer = f"link add {name} type veth peer name eth0 address {hardware} netns {holder.pid}"
            await _ip([peer, f"link set {name} master {BRIDGE} up"])
            inside = ["link set lo up", f"address add {address}/{PREFIX} dev eth0", "link set eth0 up"]
            await _ip([*inside, f"route add default via {GATEWAY}"], "/usr/bin/nsenter", f"--net={network.path}")
        except BaseException:
            await network.remove()
            raise
        return network

    async def remove(self) -> None:
        if self._holder.returncode is None:
            self._holder.kill()
        await self._holder.wait()


async def _ip(commands: Sequence[str], *inside: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *inside, "/usr/bin/env", "ip", "-batch", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate("\n".join(commands).encode())
    if process.returncode:
        raise SandboxFailed(f"ip: {errors.decode().strip()}")


class Process:
    """A container that runs: its first process and all that it started."""

    def __init__(self, outer: subprocess.Process, pid: int, user: tuple[int, int], env: Mapping[str, str]) -> None:
        self.pid = pid
        """Of the first process, on this machine."""
        self._outer = outer
        self._user = user
        self._env = env

    @staticmethod
    async def start(network: Network, log: Path, specification: Mapping[str, Any]) -> Process:
        """Start what `specification` tells the launcher; its output goes to the end of `log`.

        Raises:
            SandboxFailed: the command can't be run.
        """
        read, write = os.pipe()
        with _opened(log) as output, os.fdopen(read, "rb") as answer:
            try:
                outer = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", str(LAUNCHER), str(write)),
                    json.dumps({**specification, "network": network.path}),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(write,),
                    start_new_session=True,
                    # Not the agent's: what the agent was started with is none of the container's business.
                    env={"PATH": os.defpath},
                )
            finally:
                os.close(write)
            try:
                reply = await _line(answer)
                if not reply.endswith("\n"):
                    code = await outer.wait()
                    raise SandboxFailed(reply or f"the container's launcher ended with exit code {code}")
            except asyncio.CancelledError:
                outer.kill()
                await outer.wait()
                raise
        return Process(outer, int(reply), (specification["uid"], specification["gid"]), specification["env"])

    async def wait(self) -> int:
        """The exit code: 128 and the signal's number for one that a signal ended."""
        return await self._outer.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the first process; SIGKILL ends all of the container's."""
        if self._outer.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    async def run(self, command: Sequence[str]) -> tuple[int, str]:
        """The exit code and output of a command inside; cancelled, it is killed."""
        process = await asyncio.create_subprocess_exec(
            *("/usr/bin/nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts", "--root", "--wd"),
            *(f"--setuid={self._user[0]}", f"--setgid={self._user[1]}", "--", *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self._env),
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode or 0, output.decode(errors="replace").strip()


def _opened(log: Path) -> IO[bytes]:
    return open(log, "ab")


async def _line(pipe: IO[bytes]) -> str:
    """What comes before a newline or the end; with the newline if there was one."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    try:
        return (await reader.readline()).decode()
    finally:
        transport.close()
