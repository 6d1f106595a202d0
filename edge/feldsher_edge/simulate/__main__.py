"""`python -m feldsher_edge.simulate`: virtual devices for a gateway that does not know that they are."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer

from feldsher_edge.simulate.bench import HELP, Bench, Events
from feldsher_edge.simulate.patient import FilePatient, Source, synthetic

_QUIT = "quit"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog=HELP)
def main(
    cardiograph: Annotated[bool, typer.Option("--cardiograph", help="Offer a kit on a pseudo-terminal.")] = False,
    port: Annotated[Path | None, typer.Option(help="Where its port appears (a symbolic link).")] = None,
    patient: Annotated[str, typer.Option(help="A synthetic patient: normal, atrial_fibrillation, …")] = "normal",
    record: Annotated[Path | None, typer.Option(help="A file to play instead of a synthetic patient.")] = None,
    pace: Annotated[float, typer.Option(help="Device seconds per second.")] = 1.0,
    cuff: Annotated[bool, typer.Option("--cuff", help="Offer a blood pressure cuff; needs --dbus.")] = False,
    dbus: Annotated[str | None, typer.Option(help="The D-Bus on which org.bluez is to appear.")] = None,
    seed: Annotated[int, typer.Option(help="Of the patient and of the faults.")] = 1,
) -> None:
    """Offer virtual devices; says what happens as JSON lines and obeys commands on standard input until its end."""
    try:
        source: Source | None = None
        if cardiograph:
            source = FilePatient(record) if record else synthetic(patient, seed)
        if cuff and dbus is None:
            raise ValueError("--cuff: needs --dbus ADDRESS")
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    with tempfile.TemporaryDirectory(prefix="feldsher-kit-") as folder:
        asyncio.run(_run(source, port or Path(folder) / "kit", pace, dbus if cuff else None, seed))


async def _run(source: Source | None, port: Path, pace: float, dbus: str | None, seed: int) -> None:
    events = Events(sys.stdout)
    bench = Bench(events, seed)
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lines.put_nowait, _QUIT)
    try:
        if source is not None:
            bench.add_cardiograph(source, port, pace)
        if dbus is not None:
            await bench.add_cuff(dbus)
        threading.Thread(target=_read_lines, args=(loop, lines), daemon=True).start()
        events("ready", {})
        while (line := (await lines.get()).strip()) != _QUIT:
            await _obey(bench, events, line)
    finally:
        await bench.close()


async def _obey(bench: Bench, events: Events, line: str) -> None:
    if line:
        try:
            await bench.obey(line)
        except ValueError as error:
            events("error", {"why": str(error)})


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """Hand standard input over; at its end (whoever commanded is gone) quit."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    loop.call_soon_threadsafe(lines.put_nowait, _QUIT)


if __name__ == "__main__":
    app()
