"""Does the running gateway work with its devices? Connection, each device, the electrodes, a first reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from feldsher_edge import status
from feldsher_edge.checks import Check
from feldsher_edge.local.client import LocalError, ask_soon
from feldsher_edge.local.words import Judged, TrialRecording

_LOOK_S = 0.3
_RECORD_S = 4.0
_FLAT_UV = 30.0
"""A lead that moves less in four seconds carries no ECG: even low-voltage QRS complexes are some 100 µV high."""
_RAILED_UV = 20_000.0
_RESERVE_S = 20.0
Tell = Callable[[str], None]


async def answering(state: Path, seconds: float) -> status.Report | None:
    """Return the status of the gateway as soon as it runs and is connected; at the end how it stands, None: not."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            report = await asyncio.to_thread(status.ask, state)
        except status.StatusError:
            report = None
        late = asyncio.get_running_loop().time() > deadline
        if late or (report is not None and report.connection.connected):
            return report
        await asyncio.sleep(_LOOK_S)


async def run(state: Path, names: list[str], *, connect_s: float, wait_s: float, tell: Tell) -> list[Check]:
    """Test the connection and each of the devices `names`. `wait_s`: for a device's first reading, 0 waits for none."""
    report = await answering(state, connect_s)
    if report is None:
        words = f"the gateway did not start within {connect_s:.0f} s"
        return [Check("gateway", False, words, "journalctl -u feldsher-edge -n 50 says why")]
    link = report.connection
    if not link.connected:
        words = f"{link.broker}: {link.last_error or 'no connection yet'}"
        return [Check("connection", False, words, "feldsher-edge network check")]
    found = [Check("connection", True, f"connected to {link.broker}")]
    kinds = {device.device: device.kind for device in report.devices}
    for name in names:
        if name not in kinds:
            found.append(Check(name, False, "the running gateway does not know it", "restart it: feldsher-edge setup"))
        elif kinds[name] == "cardiograph":
            found += await _cardiograph(state, name, connect_s)
        else:
            found.append(await _visitor(state, name, wait_s, tell))
    return found


async def _line(state: Path, name: str) -> status.DeviceLine | None:
    report = await asyncio.to_thread(status.ask, state)
    return next((device for device in report.devices if device.device == name), None)


async def _cardiograph(state: Path, name: str, connect_s: float) -> list[Check]:
    deadline = asyncio.get_running_loop().time() + connect_s
    while (line := await _line(state, name)) is None or line.state is None:
        if asyncio.get_running_loop().time() > deadline:
            return [Check(name, False, "it is not seen yet", "is its cable plugged in at both ends?")]
        await asyncio.sleep(_LOOK_S)
    if line.state != "present":
        return [Check(name, False, f"{line.state}: {line.detail or ''}", "unplug it, plug it in again")]
    charge = f", battery {line.battery} %" if line.battery is not None else ""
    there = Check(name, True, f"{line.model or 'connected'}{charge}")
    try:
        tested = await ask_soon(state, TrialRecording(name, _RECORD_S), Judged, _RECORD_S + _RESERVE_S)
    except LocalError as error:
        if "electrodes off" in str(error):
            todo = "put the electrodes on somebody, or on a simulator; then: feldsher-edge test " + name
            return [there, Check(f"{name}: electrodes", None, str(error), todo)]
        return [there, Check(f"{name}: recording", False, str(error), f"feldsher-edge test {name}")]
    return [there, *judged(tested)]


def judged(tested: Judged) -> list[Check]:
    """Return what a test recording says: the line, the electrodes, the signal of each lead."""
    name, again = tested.device, f"feldsher-edge test {tested.device}"
    words = f"{tested.seconds:.1f} s, {tested.lost} samples lost, {tested.errors} damaged"
    whole = tested.partial is None and not tested.lost
    todo = "" if whole else "another cable, another port, no hub in between; then: " + again
    found = [Check(f"{name}: recording", whole, words + (f"; {tested.partial}" if tested.partial else ""), todo)]
    off = [lead.lead for lead in tested.leads if lead.off]
    if off:
        found.append(Check(f"{name}: electrodes", None, f"off: {', '.join(off)}", f"fasten them; then: {again}"))
    else:
        found.append(Check(f"{name}: electrodes", True, "all touch"))
    odd = [it.lead for it in tested.leads if not it.off and not _FLAT_UV <= it.range_uv <= _RAILED_UV]
    if odd:
        todo = f"another electrode, another cable; then: {again}"
        found.append(Check(f"{name}: signal", None, f"flat or far too large: {', '.join(odd)}", todo))
    else:
        found.append(Check(f"{name}: signal", True, "every lead that touches moves as an ECG does"))
    return found


async def _visitor(state: Path, name: str, wait_s: float, tell: Tell) -> Check:
    """Wait for a device that comes when it has measured."""
    deadline = asyncio.get_running_loop().time() + wait_s
    if wait_s:
        tell(f"{name}: take a measurement with it now (up to {wait_s:.0f} s are waited)")
    while True:
        line = await _line(state, name)
        if line is not None and line.readings:
            charge = f", battery {line.battery} %" if line.battery is not None else ""
            return Check(name, True, f"first reading received{charge}")
        if asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(_LOOK_S)
    todo = f"take a measurement within 5 m of the gateway; then: feldsher-edge test {name} --wait 120"
    if line is not None and line.state == "fault":
        return Check(name, False, f"it was met, and brought nothing: {line.detail}", todo)
    return Check(name, None, "paired; no reading yet", todo)
