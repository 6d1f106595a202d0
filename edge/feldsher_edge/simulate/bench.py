"""A bench of virtual devices under command: what the demo, the journey test and a developer drive line by line."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, TextIO, cast, get_args

from feldsher_ehr_core.vitals import Absent
from feldsher_signal import frame

from feldsher_edge.ble.ieee11073 import Number
from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.bitalino import VirtualBitalino
from feldsher_edge.simulate.bluez import VirtualBluez
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.cuff import ADDRESS, VirtualCuff
from feldsher_edge.simulate.cyton import VirtualCyton
from feldsher_edge.simulate.openview import VirtualOpenView
from feldsher_edge.simulate.patient import FilePatient, Source, synthetic
from feldsher_edge.simulate.serial_device import VirtualSerial

HELP = """commands: bp SYSTOLIC DIASTOLIC PULSE [USER] · patient NAME · record FILE · start SECONDS · electrodes [OFF …]
          · unplug [board] · plug [board] · quit      (a pressure may be nan, nres, +inf, -inf or reserved)"""
Board = Literal["cyton", "healthypi4", "bitalino"]


class Events:
    """Writes what happens as JSON lines: `event`, `at_us` (wall time, microseconds since 1970 UTC) and fields."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, event: str, fields: dict[str, object]) -> None:
        """Write one line."""
        line = json.dumps({"event": event, "at_us": time.time_ns() // 1000, **fields})
        self._out.write(line + "\n")
        self._out.flush()


class Bench:
    """The devices that are there, and the commands they obey."""

    def __init__(self, events: Events, seed: int) -> None:
        self._events = events
        self._seed = seed
        self._cardiograph: VirtualCardiograph | None = None
        self._board: VirtualSerial | None = None
        self._cuff: VirtualCuff | None = None
        self._daemon: VirtualBluez | None = None

    def add_cardiograph(self, source: Source, link: Path, pace: float) -> None:
        """Plug a cardiograph in."""
        rng = random.Random(self._seed)  # noqa: S311 - faults of a virtual line
        self._cardiograph = VirtualCardiograph(source, link, rng, pace=pace, emit=self._events)
        self._cardiograph.plug_in()
        self._events("cardiograph", {"port": str(link)})

    def add_board(self, kind: Board, source: Source, link: Path, pace: float) -> None:
        """Plug in a board that is not our kit; its first channels are I and II, HealthyPi's one is II."""
        rng = random.Random(self._seed)  # noqa: S311 - faults of a virtual line
        if kind == "cyton":
            self._board = VirtualCyton(source, link, rng, pace=pace, emit=self._events)
        elif kind == "healthypi4":
            self._board = VirtualOpenView(source, link, rng, pace=pace, emit=self._events)
        else:
            self._board = VirtualBitalino(source, link, rng, ("I", "II"), pace=pace, emit=self._events)
        self._board.plug_in()
        self._events("board", {"port": str(link), "kind": kind})

    async def add_cuff(self, dbus: str) -> None:
        """Bring a cuff into reach of a virtual Bluetooth daemon on the bus at `dbus`."""
        air = Air()
        self._daemon = await bluez.start(await host(air), dbus)
        self._cuff = VirtualCuff(air, lambda: datetime.now().astimezone().replace(tzinfo=None), emit=self._events)
        await self._cuff.power_on()
        self._events("cuff", {"address": ADDRESS})

    async def close(self) -> None:
        """Remove the devices."""
        for device in (self._cardiograph, self._board):
            if device is not None:
                device.unplug()
        if self._daemon is not None:
            await self._daemon.stop()

    async def obey(self, line: str) -> None:
        """Do what a line says; ValueError tells what is wrong with it."""
        word, *arguments = line.split()
        if word == "bp":
            await self._pressure(arguments)
            return
        commands: dict[str, Callable[[list[str]], None]] = {
            "patient": lambda names: self._change(synthetic(_one(names), self._seed)),
            "record": lambda names: self._change(FilePatient(_one(names))),
            "start": lambda seconds: self._kit().press_start(float(_one(seconds))),
            "electrodes": self._electrodes,
            "unplug": lambda which: self._named(which).unplug(),
            "plug": lambda which: self._named(which).plug_in(),
        }
        if word not in commands:
            raise ValueError(f"{word!r} is no command; {HELP}")
        commands[word](arguments)

    async def _pressure(self, arguments: list[str]) -> None:
        if self._cuff is None:
            raise ValueError("bp: there is no cuff")
        if len(arguments) not in (3, 4):
            raise ValueError("bp: SYSTOLIC DIASTOLIC PULSE [USER]")
        user = int(arguments[3]) if len(arguments) == 4 else 1
        await self._cuff.measure(*map(_number, arguments[:3]), user=user)

    def _named(self, which: list[str]) -> VirtualSerial:
        if which != ["board"]:
            return self._kit()
        if self._board is None:
            raise ValueError("there is no board")
        return self._board

    def _kit(self) -> VirtualCardiograph:
        if self._cardiograph is None:
            raise ValueError("there is no cardiograph")
        return self._cardiograph

    def _change(self, source: Source) -> None:
        self._kit().source = source
        self._events("patient", {})

    def _electrodes(self, names: list[str]) -> None:
        unknown = set(names) - set(frame.ELECTRODES)
        if unknown:
            raise ValueError(f"electrodes: {', '.join(sorted(unknown))} is none of {', '.join(frame.ELECTRODES)}")
        self._kit().off = sum(1 << frame.ELECTRODES.index(name) for name in names)
        self._events("electrodes", {"off": names})


def _one(words: list[str]) -> str:
    if len(words) != 1:
        raise ValueError(f"one word is needed, not {len(words)}")
    return words[0]


def _number(text: str) -> Number:
    if text in get_args(Absent):
        return cast("Absent", text)
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"bp: {text!r} is no number") from error
