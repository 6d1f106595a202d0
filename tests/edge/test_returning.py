"""A gateway that is given back: what waits is sent or refused to be lost, and nothing of the people stays."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from feldsher_edge import cli, returning
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import load, parse
from feldsher_edge.configured import Wanted
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.patient import synthetic
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_signal import frame
from typer.testing import CliRunner


@pytest.fixture
def config(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    (state / "identity").mkdir(parents=True)
    (state / "identity" / "key.pem").write_text("secret")
    path = tmp_path / "edge.toml"
    path.write_text(
        f'gateway = "gw-7"\nstate = "{state}"\n[mqtt]\nkeepalive_s = 60\n\n'
        f'[[kit]]\ndevice = "ecg-1"\nport = "{tmp_path / "kit"}"\n'
    )
    (state / "identity").rename(state / "identity.old-1")
    return path


def waits(config: Path) -> None:
    state = load(config).state
    outbox = Outbox(Store(state / "outbox.sqlite3"), Envelopes("gw-7", VirtualClock()))
    outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present"))
    outbox.close()


def give_back(config: Path, *words: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(cli.app, ["return", "--yes", "--json", *words, "--config", str(config)])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def test_devices_that_only_the_cloud_has_configured_are_cleaned_too(config: Path, tmp_path: Path) -> None:
    kit = f'[[kit]]\ndevice = "ecg-9"\nport = "{tmp_path / "other"}"\n'
    sent = kit + '[[cuff]]\ndevice = "bp"\naddress = "AA:BB:CC:00:00:01"\n'
    folder = load(config).state / "config"
    folder.mkdir()
    (folder / "kept.json").write_bytes(msgspec.json.encode(Wanted(3, sent)))
    code, told = give_back(config)
    assert (code, told["forgotten"]) == (0, True)
    names = {check["name"] for check in told["checks"]}  # type: ignore[attr-defined]
    assert {"ecg-1", "ecg-9"} < names
    assert names & {"bp", "bonds"}  # without a Bluetooth daemon its own line says so


def test_a_watched_folder_that_still_holds_files_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "full" / "done").mkdir(parents=True)
    (tmp_path / "full" / "done" / "1.cms").write_bytes(b"sealed")
    (tmp_path / "bare").mkdir()
    tables = [f'\n[[folder]]\ndevice = "{name}"\npath = "{tmp_path / name}"\n' for name in ("full", "bare")]
    config.write_text(config.read_text() + "".join(tables))
    code, told = give_back(config)
    assert code == 0
    checks: list[dict[str, str]] = told["checks"]  # type: ignore[assignment]
    named = [check for check in checks if check["name"].startswith("folder")]
    assert [check["name"] for check in named] == [f"folder {tmp_path / 'full'}"]
    assert "find" in named[0]["next"]


def test_what_the_cloud_has_not_received_is_not_lost_unasked(config: Path) -> None:
    waits(config)
    code, told = give_back(config)
    assert (code, "1 " in str(told["error"]), "--force loses them" in str(told["next"])) == (1, True, True)
    assert (load(config).state / "outbox.sqlite3").exists()
    code, told = give_back(config, "--force")
    assert (code, told["forgotten"]) == (0, True)
    assert list(load(config).state.iterdir()) == []


def test_nothing_of_the_people_stays_and_the_technicians_settings_do(config: Path) -> None:
    code, told = give_back(config)
    assert code == 0, told
    left = load(config)
    assert list(left.state.iterdir()) == []
    assert (left.kit, left.mqtt.keepalive_s) == ((), 60)


async def test_a_kit_forgets_its_peers_and_one_that_is_away_is_told(tmp_path: Path) -> None:
    kit = VirtualCardiograph(synthetic("normal", 1), tmp_path / "kit", random.Random(1))  # noqa: S311 - faults
    kit.plug_in()
    config = parse(
        f'[[kit]]\ndevice = "here"\nport = "{tmp_path / "kit"}"\n[[kit]]\ndevice = "away"\nport = "/nowhere"\n'
    )
    here, away = await returning.clean(config)
    kit.unplug()
    assert kit.commands == [frame.CMD_WIPE]
    assert (here.ok, away.ok) == (True, None)
    assert "No such file" in away.detail
