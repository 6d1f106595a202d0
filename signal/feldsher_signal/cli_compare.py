"""The command `compare`: a recording beside an earlier one of the same person."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from feldsher_ehr_core.ecg import Comparison, Interpretation, Subject

from feldsher_signal import serial
from feldsher_signal.formats import FormatError
from feldsher_signal.formats.error import reason

Interpreter = Callable[[Path, str | None, Subject], tuple[object, Interpretation]]
Person = Callable[[int | None, int | None, str | None], Subject]
UNREADABLE = 2


def add(main: typer.Typer, interpreter: Interpreter, subject: Person) -> None:
    """Add the command to the command line; `interpreter` reads and interprets one recording."""

    @main.command()
    def compare(  # pyright: ignore[reportUnusedFunction]
        old: Annotated[Path, typer.Argument(help="The earlier recording, or its interpretation as saved by --json.")],
        new: Annotated[Path, typer.Argument(help="The later one.")],
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
        age: Annotated[int | None, typer.Option(min=0, max=130, help="Age in years.")] = None,
        age_days: Annotated[int | None, typer.Option(min=0, help="Age in days instead, for small children.")] = None,
        sex: Annotated[str | None, typer.Option(help="male or female.")] = None,
    ) -> None:
        """Compare the recording NEW with OLD; exit code 2 when one could not be read."""
        known = subject(age, age_days, sex)
        read: list[Interpretation] = []
        for path in (old, new):
            try:
                read.append(_read(path, interpreter, known))
            except (FormatError, ValueError, OSError) as error:
                sys.stderr.write(f"{reason(error, path)}\n")
                raise typer.Exit(UNREADABLE) from error
        found = serial.compare(*read)
        if as_json:
            line = {"previous": str(old), "current": str(new), **msgspec.to_builtins(found)}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            _show(found)


def _read(path: Path, interpreter: Interpreter, subject: Subject) -> Interpretation:
    """Return the interpretation saved in a .json file, or that of a recording; ValueError where it is neither."""
    if path.suffix == ".json":
        try:
            return msgspec.json.decode(path.read_bytes(), type=Interpretation)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}: {error}") from error
    return interpreter(path, None, subject)[1]


def _show(found: Comparison) -> None:
    """Print a summary for people."""
    if found.critical:
        typer.secho("ALARM: something new is critical", fg="red", bold=True)
    for name, codes in (("new", found.new), ("resolved", found.resolved), ("unchanged", found.kept)):
        typer.echo(f"{name:10} {', '.join(codes) or '–'}")
    for change in found.changed:
        before, after = ("–" if v is None else f"{v:.0f}" for v in (change.before, change.after))
        typer.echo(f"{change.what:16} {before} → {after} (limit {change.limit:.0f}; {change.source})")
    typer.echo(found.conclusion)
