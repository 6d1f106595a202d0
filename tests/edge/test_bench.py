import asyncio
import io
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from feldsher_edge.simulate.__main__ import app
from feldsher_edge.simulate.bench import Bench, Board, Events
from feldsher_edge.simulate.patient import synthetic
from feldsher_tools.dbus import DBus
from typer.testing import CliRunner


class Recorder:
    """A bench without and with devices, and what it says."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.bench = Bench(Events(self.out), seed=1)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
async def kit_bench(tmp_path: Path) -> AsyncGenerator[Recorder]:
    it = Recorder()
    it.bench.add_cardiograph(synthetic("normal", 1), tmp_path / "kit", 20.0)
    yield it
    await it.bench.close()


async def test_commands_move_the_cardiograph(kit_bench: Recorder, tmp_path: Path):
    for line in ("patient lbbb", "electrodes V1 V2", "electrodes", "unplug"):
        await kit_bench.bench.obey(line)
    happened = [e["event"] for e in kit_bench.events()]
    assert happened == ["cardiograph", "patient", "electrodes", "electrodes", "unplugged"]
    assert kit_bench.events()[0]["port"] == str(tmp_path / "kit")
    assert kit_bench.events()[2]["off"] == ["V1", "V2"]
    await kit_bench.bench.obey("plug")
    await kit_bench.bench.obey("start 1")
    async with asyncio.timeout(60):
        while kit_bench.events()[-1]["event"] != "last_sample":  # noqa: ASYNC110 - text is what it gives
            await asyncio.sleep(0.01)
    assert kit_bench.events()[-1]["sent"] == 500


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("dance", "'dance' is no command"),
        ("patient", "one word is needed, not 0"),
        ("patient nobody", "'nobody' is none of"),
        ("electrodes V9", "V9 is none of RA, LA"),
        ("bp 120 80 70", "there is no cuff"),
        ("start x", "could not convert"),
    ],
)
async def test_what_is_wrong_with_a_command_is_told(kit_bench: Recorder, line: str, why: str):
    with pytest.raises(ValueError, match=why):
        await kit_bench.bench.obey(line)


@pytest.mark.parametrize("kind", ["cyton", "healthypi4", "bitalino"])
async def test_a_board_can_be_offered_and_pulled(kind: Board, tmp_path: Path):
    it = Recorder()
    with pytest.raises(ValueError, match="there is no board"):
        await it.bench.obey("unplug board")
    it.bench.add_board(kind, synthetic("normal", 1), tmp_path / "board", 1.0)
    assert (tmp_path / "board").exists()
    await it.bench.obey("unplug board")
    assert not (tmp_path / "board").exists()
    await it.bench.obey("plug board")
    assert (tmp_path / "board").exists()
    await it.bench.close()
    offered = [event for event in it.events() if event["event"] == "board"]
    assert [(event["kind"], event["port"]) for event in offered] == [(kind, str(tmp_path / "board"))]


async def test_commands_move_the_cuff(dbus: DBus):
    it = Recorder()
    await it.bench.add_cuff(dbus.address)
    try:
        await it.bench.obey("bp 132 84 71")
        await it.bench.obey("bp nan nan nan 2")
        for line, why in (("bp 1 2", "bp: SYSTOLIC"), ("bp a b c", "'a' is no number")):
            with pytest.raises(ValueError, match=why):
                await it.bench.obey(line)
        assert [e["event"] for e in it.events()] == ["cuff", "cuff_stored", "cuff_stored"]
        assert it.events()[-1]["waiting"] == 2
    finally:
        await it.bench.close()


def test_the_process_offers_devices_until_its_input_ends(tmp_path: Path, dbus: DBus):
    command = [sys.executable, "-W", "error", "-m", "feldsher_edge.simulate", "--cardiograph", "--cuff"]
    done = subprocess.run(
        [*command, "--port", str(tmp_path / "kit"), "--dbus", dbus.address],
        input="patient asystole\nbp 120 80\n\n",
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events] == ["cardiograph", "cuff", "ready", "patient", "error", "unplugged"]
    assert all(isinstance(e["at_us"], int) for e in events)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--cardiograph", "--patient", "nobody"], "'nobody' is none of"),
        (["--cardiograph", "--record", "none.hea"], "none.hea"),
        (["--cuff"], "needs --dbus"),
    ],
)
def test_the_command_refuses_what_it_cannot_play(options: list[str], why: str):
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2
    assert why in done.stderr
