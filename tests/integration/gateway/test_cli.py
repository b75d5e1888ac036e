"""`turnout-gateway` as it is run, with its own workers."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway.contract.route_table import write
from tests.fakes.parent_process import HERE, eventually, route_table

ROOT = HERE.parent.parent
COMMAND = [sys.executable, "-m", "gateway.cli"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client, httpx.Client]]:
    """The process, its data port and its admin port."""
    (tmp_path / "routes.json").write_bytes(write(route_table(5, "v1")))
    log = tmp_path / "log"
    settings = {"PORT": "0", "ADMIN_PORT": "0", "WORKERS": "1"}
    environment = os.environ | {f"TURNOUT_GATEWAY_{name}": value for name, value in settings.items()}
    with log.open("wb") as written:
        process = subprocess.Popen([*COMMAND, "--state", tmp_path], cwd=ROOT, stderr=written, env=environment)
    try:
        found = eventually(lambda: re.search(r"data=(\S+) admin=(\S+)", log.read_text()))
        assert found is not None
        with (
            httpx.Client(base_url=f"http://{found[1]}", timeout=20) as data,
            httpx.Client(base_url=f"http://{found[2]}", timeout=20) as admin,
        ):
            eventually(lambda: admin.get("/readyz").status_code == 200)
            yield process, data, admin
    finally:
        process.kill()
        process.wait()


def pid(admin: httpx.Client) -> int | None:
    found: int | None = admin.get("/table").json()["workers"][0]["pid"]
    return found


def is_another(old: int, new: int | None) -> bool:
    return new not in (None, old)


def test_it_serves_counts_survives_a_worker_and_ends(
    gateway: tuple[subprocess.Popen[bytes], httpx.Client, httpx.Client],
) -> None:
    process, data, admin = gateway
    for refusals in (1, 2):
        answer = data.get("/v1/models/digit")
        assert answer.status_code == 404
        assert "no deployment" in answer.json()["error"]
        refused = 'turnout_refusals_total{protocol="tfserving-rest",reason="unknown_deployment"}'
        assert f"{refused} {refusals}.0" in admin.get("/metrics").text
        worker = admin.get("/table").json()["workers"][0]
        assert (worker["ready"], worker["revision"], worker["restarts"]) == (True, 5, refusals - 1)
        os.kill(worker["pid"], signal.SIGKILL)
        eventually(partial(pid, admin), partial(is_another, worker["pid"]))
        eventually(lambda: admin.get("/readyz").status_code == 200)
        data.close()
        data = httpx.Client(base_url=data.base_url, timeout=20)
    data.close()
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "Invalid value for '--port': 65536 is not in the range 0<=x<=65535."),
        (["--workers", "0"], "Invalid value for '--workers'"),
        (["--proxies", "10.0.0.0/8,10.0.0.1/8"], "Invalid value for '--proxies': 10.0.0.1/8 has host bits set."),
        (["--proxies", "ingress"], "'ingress' does not appear to be an IPv4 or IPv6 network."),
        (["--timeout", "0"], "Invalid value for '--timeout'"),
        (["--timeout", "nan"], "Invalid value for '--timeout': nan is no number."),
        (["--max-timeout", "1e308"], "Invalid value for '--max-timeout': 1e+308 is not in the range"),
        (["--drain-seconds", "inf"], "Invalid value for '--drain-seconds': inf is not in the range"),
        (["--prot", "1"], "No such option '--prot'. (Did you mean one of: '--host', '--port', '--proxies'?)"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_without_a_cluster_to_follow_it_says_what_to_do(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    ended = run("--discovery", "kubernetes", "--port", "0", "--admin-port", "0", KUBECONFIG=missing)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: no cluster to follow: this is no pod with a service account, and ")
    assert missing in ended.stderr


def test_help_tells_defaults() -> None:
    text = run("--help").stdout
    assert "[default: 8080; 0<=x<=65535]" in " ".join(text.split())
    assert "TURNOUT_GATEWAY_PORT" in text


def test_a_worker_needs_nothing_of_the_parents() -> None:
    names = "prometheus_client", "starlette", "uvicorn", "click"
    code = f"import sys, gateway.worker; print([name for name in {names} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n"
