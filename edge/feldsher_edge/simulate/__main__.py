"""`python -m feldsher_edge.simulate`: virtual devices for a gateway that does not know that they are."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from feldsher_edge.simulate.bench import HELP, Bench, Board, Events
from feldsher_edge.simulate.patient import FilePatient, synthetic

_QUIT = "quit"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog=HELP)
def main(
    cardiograph: Annotated[bool, typer.Option("--cardiograph", help="Offer a kit on a pseudo-terminal.")] = False,
    port: Annotated[Path | None, typer.Option(help="Where its port appears (a symbolic link).")] = None,
    board: Annotated[Board | None, typer.Option(help="Offer another board on a serial line.")] = None,
    board_port: Annotated[Path | None, typer.Option(help="Where the board's port appears.")] = None,
    patient: Annotated[str, typer.Option(help="A synthetic patient: normal, atrial_fibrillation, …")] = "normal",
    record: Annotated[Path | None, typer.Option(help="A file to play instead of a synthetic patient.")] = None,
    pace: Annotated[float, typer.Option(help="Device seconds per second.")] = 1.0,
    cuff: Annotated[bool, typer.Option("--cuff", help="Offer a blood pressure cuff; needs --dbus.")] = False,
    dbus: Annotated[str | None, typer.Option(help="The D-Bus on which org.bluez is to appear.")] = None,
    seed: Annotated[int, typer.Option(help="Of the patient and of the faults.")] = 1,
) -> None:
    """Offer virtual devices; says what happens as JSON lines and obeys commands on standard input until its end."""
    try:
        sources = [FilePatient(record) if record else synthetic(patient, seed) for _ in range(2)]
        if cuff and dbus is None:
            raise ValueError("--cuff: needs --dbus ADDRESS")
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    with tempfile.TemporaryDirectory(prefix="feldsher-kit-") as folder:
        events = Events(sys.stdout)
        bench = Bench(events, seed)

        async def add() -> None:
            if cardiograph:
                bench.add_cardiograph(sources[0], port or Path(folder) / "kit", pace)
            if board is not None:
                bench.add_board(board, sources[1], board_port or Path(folder) / "board", pace)
            if cuff and dbus is not None:
                await bench.add_cuff(dbus)

        asyncio.run(_run(bench, events, add))


async def _run(bench: Bench, events: Events, add: Callable[[], Awaitable[None]]) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lines.put_nowait, _QUIT)
    try:
        await add()
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
