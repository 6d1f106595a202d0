"""The daemon as a process: start, status, an orderly end, and what it must not load."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from feldsher_edge import cli, status
from feldsher_edge.config import ConfigError, parse
from feldsher_edge.daemon import broker, gateway_name
from feldsher_edge.identity import Identity, Place
from feldsher_edge.link import Broker
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_ehr_core import wire
from rich.console import Console

Reach = Callable[..., Broker]
StartCloud = Callable[..., VirtualCloud]


@pytest.fixture
def config(tmp_path: Path, reach: Reach) -> Path:
    name = f"gw-{os.getpid()}-d{tmp_path.name[-12:].replace('_', '-').lower()}"
    there = reach(name)
    ca, certificate, key = there.tls.args  # type: ignore[attr-defined]
    path = tmp_path / "edge.toml"
    path.write_text(
        textwrap.dedent(
            f"""
            gateway = "{name}"
            state = "{tmp_path / "state"}"
            [mqtt]
            host = "{there.host}"
            port = {there.port}
            ca = "{ca}"
            certificate = "{certificate}"
            key = "{key}"
            heartbeat_s = 0.3
            [interpreter]
            enabled = false
            [[kit]]
            device = "kit-1"
            port = "{tmp_path / "no-such-port"}"
            """
        )
    )
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "feldsher_edge.cli", *arguments]


def ask(config: Path, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until the daemon is connected, then ask the command line for the status."""
    deadline = time.monotonic() + seconds
    while not connected(config.parent / "state"):
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon is not connected")
        time.sleep(0.05)
    done = subprocess.run(command("status", "--json", "-c", str(config)), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def connected(state: Path) -> bool:
    """Ask within this process: each command line costs seconds of imports on a busy machine."""
    try:
        return status.ask(state).connection.connected
    except status.StatusError:
        return False


def test_the_daemon_runs_answers_and_ends_in_order(config: Path, cloud: StartCloud) -> None:
    there = cloud()
    daemon = subprocess.Popen(command("run", "-c", str(config)), stderr=subprocess.PIPE, text=True)
    report = ask(config)
    assert report["software"].startswith("feldsher-edge ")
    assert {d["device"]: d["kind"] for d in report["devices"]} == {"kit-1": "cardiograph"}
    assert report["interpreter"] == "off"
    table = subprocess.run(command("status", "-c", str(config)), capture_output=True, text=True, check=True).stdout
    assert "connected" in table
    assert "kit-1" in table
    there.wait(lambda c: bool(c.of(wire.Heartbeat)))
    daemon.send_signal(signal.SIGTERM)
    _, log = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    there.wait(lambda c: any(m.cause == "stopping" for m in c.of(wire.Death)))
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[0] == "gateway runs"
    assert events[-1] == "gateway ends"
    refused = subprocess.run(command("status", "-c", str(config)), capture_output=True, text=True, check=False)
    assert (refused.returncode, "is it running?" in refused.stderr) == (3, True)


def test_a_daemon_that_is_killed_leaves_its_will_and_starts_again(config: Path, cloud: StartCloud) -> None:
    there = cloud()
    daemon = subprocess.Popen(command("run", "-c", str(config)), stderr=subprocess.DEVNULL)
    ask(config)
    daemon.kill()
    daemon.wait()
    there.wait(lambda c: any(m.cause == "will" for m in c.of(wire.Death)))
    again = subprocess.Popen(command("run", "-c", str(config)), stderr=subprocess.DEVNULL)
    assert ask(config)["starts"] == 2
    again.terminate()
    assert again.wait(60) == 0


def test_a_second_daemon_on_the_same_state_is_refused(config: Path, cloud: StartCloud) -> None:
    cloud()
    daemon = subprocess.Popen(command("run", "-c", str(config)), stderr=subprocess.DEVNULL)
    ask(config)
    second = subprocess.run(command("run", "-c", str(config)), capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 2
    assert "another feldsher-edge uses this state directory" in second.stderr
    daemon.terminate()
    daemon.wait(60)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "no gateway id: claim the gateway"), ("gateway = 'a'", "the broker is not known: claim the gateway")],
)
def test_an_unclaimed_gateway_says_what_to_do(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "edge.toml").write_text(text + f"\nstate = '{tmp_path / 'state'}'")
    done = subprocess.run(
        command("run", "-c", str(tmp_path / "edge.toml")), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_the_identity_fills_what_the_configuration_leaves_open() -> None:
    identity = Identity(Place("gw-7", "there", 8883), Path("ca"), Path("certificate"), Path("key"))
    assert gateway_name(parse(""), identity) == "gw-7"
    found = broker(parse("[mqtt]\nport = 9999"), identity)
    assert (found.host, found.port) == ("there", 9999)
    with pytest.raises(ConfigError, match="where the identity is of"):
        gateway_name(parse("gateway = 'other'"), identity)


def test_the_daemon_loads_neither_numba_nor_the_clouds_libraries() -> None:
    program = "import sys, feldsher_edge.cli, feldsher_edge.daemon; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"starlette", "uvicorn", "jinja2", "multipart"})  # the page is another process
    assert loaded.isdisjoint(
        {"numba", "llvmlite", "fastapi", "psycopg", "pydantic", "sqlalchemy", "feldsher_cloud_api"}
    )
    assert "feldsher_signal" in loaded  # the codec, not the engine


def test_the_table_says_what_was_lost_and_who_else_uses_the_identity() -> None:
    link = status.Connection("b:1", True, 1, 0, 0, 0, 0, 0, 0, 0, None, None, taken_over=3)
    plain = status.Report(
        "gw-1", "feldsher-edge 1", 1, "synced", link, (0, 0, 0), 0, None, 0, 0, 0, "ready", (), (), (), dropped=7,
        thinned=900,
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=200).print(cli.table(plain))
    assert "7 messages dropped, 900 readings thinned out" in out.getvalue()
    assert "3 times another program came with this identity" in out.getvalue()


def test_no_answer_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(status.StatusError, match="is it running"):
        status.ask(tmp_path)
    with pytest.raises(status.StatusError, match="is it running"):
        status.ask(tmp_path / "absent")


def test_the_systemd_unit_comes_with_the_package() -> None:
    unit = files("feldsher_edge").joinpath("feldsher-edge.service").read_text()
    assert "\nType=notify\n" in unit
    assert "\nExecStart=/opt/feldsher/launch run --config /etc/feldsher/edge.toml\n" in unit
