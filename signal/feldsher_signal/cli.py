"""The ECG command line: interpret files, warm the kernels."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from feldsher_ehr_core.ecg import Interpretation, Sex, Subject

from feldsher_signal.formats import FormatError, read
from feldsher_signal.record import Recording

main = typer.Typer(
    help="Interpret electrocardiograms.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

_UNREADABLE = 2


@main.command()
def interpret(
    files: Annotated[list[Path], typer.Argument(help="WFDB headers (.hea, .dat, .mat) or feldsher records.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and file.")] = False,
    channel: Annotated[str | None, typer.Option(help="Interpret one lead alone: its name or its index from 0.")] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Write ECG paper here (a folder when there are several files).")
    ] = None,
    age: Annotated[int | None, typer.Option(min=0, max=130, help="Age in years.")] = None,
    sex: Annotated[str | None, typer.Option(help="male or female.")] = None,
) -> None:
    """Interpret each FILE; exit code 2 when one could not be read or drawn (the others are still done)."""
    subject = Subject(age=age, sex=_sex(sex))
    failed = False
    for path in files:
        try:
            recording, result = _interpret(path, channel, subject)
        except (FormatError, ValueError, OSError) as error:
            sys.stderr.write(f"{error if str(path) in str(error) else f'{path}: {error}'}\n")
            failed = True
            continue
        if as_json:
            line = {"file": str(path), **msgspec.to_builtins(result)}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            _show(path, result)
        if svg is not None:
            failed |= not _drawn(recording, result, svg / f"{path.stem}.svg" if len(files) > 1 else svg)
    if failed:
        raise typer.Exit(_UNREADABLE)


@main.command()
def warm() -> None:
    """Compile every kernel into the cache, so that no request waits for it."""
    from feldsher_signal import interpret as engine  # noqa: PLC0415 - loads Numba

    start = time.perf_counter()
    count = engine.warm()
    typer.echo(f"{count} kernels ready after {time.perf_counter() - start:.2f} s")


def _sex(word: str | None) -> Sex:
    """Return the sex an option names; a bad one is refused by field."""
    known: dict[str, Sex] = {"male": "male", "m": "male", "female": "female", "f": "female", "unknown": "unknown"}
    if word is None:
        return "unknown"
    if word.lower() not in known:
        raise typer.BadParameter(f"{word!r} is not male or female", param_hint="--sex")
    return known[word.lower()]


def _interpret(path: Path, channel: str | None, subject: Subject) -> tuple[Recording, Interpretation]:
    """Return the recording in `path` (the chosen lead alone) and its interpretation."""
    from feldsher_signal import interpret as engine  # noqa: PLC0415 - loads Numba only when a file is there to judge

    recording = read(path)
    if channel is not None:
        recording = recording.only(_row(recording, channel))
    return recording, engine.interpret(recording, subject)


def _row(recording: Recording, channel: str) -> int:
    """Return the row of a lead by name (any case) or index; ValueError naming the leads there are."""
    names = [lead.lower() for lead in recording.leads]
    if channel.lower() in names:
        return names.index(channel.lower())
    if channel.isdigit() and int(channel) < len(names):
        return int(channel)
    raise ValueError(f"--channel: no lead {channel!r} among {', '.join(recording.leads)}")


def _show(path: Path, result: Interpretation) -> None:
    """Print a summary for people."""
    from rich.console import Console  # noqa: PLC0415 - not needed for --json
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    m = result.measurements
    table = Table(
        title=f"{path} · {len(result.leads)} leads · {result.samples / result.fs:.0f} s", title_justify="left"
    )
    for column in ("statement", "certainty", "because"):
        table.add_column(column)
    for s in result.statements:
        table.add_row(f"{'[bold red]' if s.critical else ''}{s.code}: {s.text}", s.certainty, "; ".join(s.because))
    console.print(table)
    numbers = {"rate": m.rate, "PR": m.pr, "QRS": m.qrs, "QT": m.qt, "QTcF": m.qtc_fridericia, "axis": m.axis_qrs}
    console.print("  ".join(f"{k} {'–' if v is None else f'{v:.0f}'}" for k, v in numbers.items()))
    console.print(result.conclusion)


def _drawn(recording: Recording, result: Interpretation, out: Path) -> bool:
    """Write the ECG paper as SVG; say why on standard error and return False where that fails."""
    from feldsher_signal import draw  # noqa: PLC0415 - only when a picture is wanted

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(draw.svg(recording, result), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"--svg: {out}: {error.strerror}\n")
        return False
    return True


if __name__ == "__main__":
    main()
