"""The ECG command line: interpret files, convert them, warm the kernels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from feldsher_ehr_core.ecg import YEAR_DAYS, Interpretation, Sex, Subject

from feldsher_signal import cli_compare, picture
from feldsher_signal.draw_page import GAINS, SPEEDS
from feldsher_signal.draw_sheet import Sheet
from feldsher_signal.formats import FormatError, load, wfdb_pieces
from feldsher_signal.formats.error import reason
from feldsher_signal.record import Recording

if TYPE_CHECKING:
    from feldsher_signal.ambulatory import Source

main = typer.Typer(
    help="Interpret electrocardiograms.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

_UNREADABLE = 2
MOST_DAYS = int(130 * YEAR_DAYS)


@main.command()
def interpret(
    files: Annotated[list[Path], typer.Argument(help="Recordings in any format of docs/formats.md.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and file.")] = False,
    channel: Annotated[str | None, typer.Option(help="Interpret one lead alone: its name or its index from 0.")] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Write ECG paper here (into a folder, when there are several files).")
    ] = None,
    pdf: Annotated[Path | None, typer.Option(help="The same as PDF.")] = None,
    png: Annotated[Path | None, typer.Option(help="The same as PNG (needs the extra `pictures`).")] = None,
    layout: Annotated[str, typer.Option(help="3x4 (with rhythm strip), 6x2, 12x1 or single (one lead, a minute).")] = (
        "3x4"
    ),
    speed: Annotated[int, typer.Option(help="25 or 50 mm/s.")] = 25,
    gain: Annotated[
        int | None, typer.Option(help="5, 10 or 20 mm/mV; without it 10, or 5 where rows would run into each other.")
    ] = None,
    marks: Annotated[bool, typer.Option("--marks", help="Show the found P, QRS and T waves and intervals.")] = False,
    age: Annotated[int | None, typer.Option(min=0, max=130, help="Age in years.")] = None,
    age_days: Annotated[
        int | None, typer.Option(min=0, max=MOST_DAYS, help="Age in days instead, for small children.")
    ] = None,
    sex: Annotated[str | None, typer.Option(help="male or female.")] = None,
) -> None:
    """Interpret each FILE; exit code 2 when one could not be read or drawn (the others are still done).

    Age and sex are those that the file says, unless the options say others.
    """
    subject = _subject(age, age_days, sex)
    pictures: dict[picture.Kind, Path | None] = {"svg": svg, "pdf": pdf, "png": png}
    draw = _drawing(layout, speed, gain, marks)
    failed = False
    for path in files:
        try:
            recording, result = _interpret(path, channel, subject)
        except (FormatError, ValueError, OSError) as error:
            sys.stderr.write(f"{reason(error, path)}\n")
            failed = True
            continue
        if as_json:
            # Every key is written, also where a value is as by default.
            line = {"file": str(path)} | {key: getattr(result, key) for key in Interpretation.__struct_fields__}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            _show(path, result)
        failed |= not _drawn(lambda: draw(recording, result), pictures, _name(path, files))  # noqa: B023 - at once
    if failed:
        raise typer.Exit(_UNREADABLE)


@main.command()
def ambulatory(
    files: Annotated[list[Path], typer.Argument(help="Long recordings in any format of docs/formats.md.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and file.")] = False,
    channel: Annotated[str | None, typer.Option(help="Look at one lead alone: its name or its index from 0.")] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Write the page here (a folder when there are several files).")
    ] = None,
    pdf: Annotated[Path | None, typer.Option(help="The same as PDF.")] = None,
    png: Annotated[Path | None, typer.Option(help="The same as PNG (needs the extra `pictures`).")] = None,
) -> None:
    """Report on each long recording (24 h); exit code 2 when one could not be read or drawn."""
    from feldsher_signal import ambulatory_report, ambulatory_text, draw_ambulatory  # noqa: PLC0415 - loads Numba
    from feldsher_signal import interpret as engine  # noqa: PLC0415
    from feldsher_signal.ambulatory import Lead, find  # noqa: PLC0415

    pictures: dict[picture.Kind, Path | None] = {"svg": svg, "pdf": pdf, "png": png}
    failed = False
    for path in files:
        try:
            source = _long(path)
            source = source if channel is None else Lead(source, _row(source.leads, channel))
            found = find(source)
        except (FormatError, ValueError, OSError) as error:
            sys.stderr.write(f"{reason(error, path)}\n")
            failed = True
            continue
        report = ambulatory_report.describe(found, source, engine.ENGINE)
        if as_json:
            line = {"file": str(path), **msgspec.to_builtins(report)}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            sys.stdout.write(ambulatory_text.text(report) + "\n")
        name = _name(path, files)
        failed |= not _drawn(lambda: draw_ambulatory.page(report, found, source), pictures, name)  # noqa: B023
    if failed:
        raise typer.Exit(_UNREADABLE)


@main.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A recording in any format of docs/formats.md.")],
    target: Annotated[Path, typer.Argument(help="The file to write: .hea .edf .scp .xml .dcm .csv .fecg")],
    to: Annotated[
        str | None,
        typer.Option(
            "--format", help="wfdb, wfdb-16, wfdb-212, edf, scp, aecg, dicom, csv or fecg; else by the suffix."
        ),
    ] = None,
    keep_subject: Annotated[
        bool, typer.Option("--keep-subject", help="Write age and sex, where the file says.")
    ] = False,
    when: Annotated[datetime | None, typer.Option(help="Write this time of recording; otherwise none is.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write SOURCE as TARGET in another format, read it back and say how exactly it was kept.

    Pseudonymous: no name, identifier, date or free text passes. Exit code 2 with the reason where it cannot be done.
    """
    from feldsher_signal.formats import convert as converter  # noqa: PLC0415 - interpretation needs no writers

    try:
        done = converter.convert(source, target, to, keep_subject, when, force)
    except (FormatError, ValueError, OSError) as error:
        sys.stderr.write(f"{reason(error, target)}\n")
        raise typer.Exit(_UNREADABLE) from None
    seconds, exact = done.recording.n / done.recording.fs, done.largest_uv == 0
    kept = "exact" if exact else f"rounded by up to {done.largest_uv:.2g} µV"
    left_out = f"; left out: {', '.join(done.left_out)}" if done.left_out else ""
    leads = f"{len(done.recording.leads)} leads, {seconds:.1f} s at {done.recording.fs:g}/s"
    typer.echo(f"{target}: {done.format}, {leads}, {kept}{left_out}")


@main.command()
def warm() -> None:
    """Compile every kernel into the cache, so that no request waits for it."""
    from feldsher_signal import draw_trace as _  # noqa: F401, PLC0415 - its kernels too
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


def _subject(age: int | None, age_days: int | None, sex: str | None) -> Subject:
    """Return the person whom the options describe; two ages are refused, for they may contradict each other."""
    if age is not None and age_days is not None:
        raise typer.BadParameter("the age is given in years too; give one of both", param_hint="--age-days")
    return Subject(age=age, sex=_sex(sex), age_days=age_days)


def _interpret(path: Path, channel: str | None, subject: Subject) -> tuple[Recording, Interpretation]:
    """Return the recording in `path` (the chosen lead alone) and its interpretation."""
    from feldsher_signal import interpret as engine  # noqa: PLC0415 - loads Numba only when a file is there to judge

    held = load(path)
    recording = held.recording
    if channel is not None:
        recording = recording.only(_row(recording.leads, channel))
    aged = held.subject if subject.age is None and subject.age_days is None else subject
    known = msgspec.structs.replace(
        held.subject,
        age=aged.age,
        sex=held.subject.sex if subject.sex == "unknown" else subject.sex,
        age_days=aged.age_days,
    )
    return recording, engine.interpret(recording, known)


def _long(path: Path) -> Source:
    """Return a recording to be read piece by piece where its format allows that, else read whole."""
    from feldsher_signal.ambulatory import Whole  # noqa: PLC0415 - loads Numba

    return wfdb_pieces.pieces(path) or Whole(load(path).recording)


def _row(leads: tuple[str, ...], channel: str) -> int:
    """Return the row of a lead by name (any case) or index; ValueError naming the leads there are."""
    names = [lead.lower() for lead in leads]
    if channel.lower() in names:
        return names.index(channel.lower())
    if channel.isdigit() and int(channel) < len(names):
        return int(channel)
    raise ValueError(f"--channel: no lead {channel!r} among {', '.join(leads)}")


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
        # In words too: colour is lost in a file, a pipe and to some eyes.
        alarm = "[bold red]ALARM " if s.critical else ""
        table.add_row(f"{alarm}{s.code}: {s.text}", s.certainty, "; ".join(s.because))
    console.print(table)
    numbers = {"rate": m.rate, "PR": m.pr, "QRS": m.qrs, "QT": m.qt, "QTcF": m.qtc_fridericia, "axis": m.axis_qrs}
    console.print("  ".join(f"{k} {'–' if v is None else f'{v:.0f}'}" for k, v in numbers.items()))
    console.print(result.conclusion)


def _drawing(layout: str, speed: int, gain: int | None, marks: bool) -> Callable[[Recording, Interpretation], Sheet]:
    """Return what lays ECG paper out as the options say; a bad one is refused by name."""
    if layout not in picture.LAYOUTS:
        raise typer.BadParameter(f"{layout!r} is not one of {', '.join(picture.LAYOUTS)}", param_hint="--layout")
    if speed not in SPEEDS:
        raise typer.BadParameter(f"{speed} is not 25 or 50", param_hint="--speed")
    if gain is not None and gain not in GAINS:
        raise typer.BadParameter(f"{gain} is not 5, 10 or 20", param_hint="--gain")

    def drawing(recording: Recording, result: Interpretation) -> Sheet:
        from feldsher_signal import draw  # noqa: PLC0415 - only when a picture is wanted

        return draw.paper(recording, result, layout=picture.LAYOUTS[layout], speed=speed, gain=gain, marks=marks)

    return drawing


def _name(path: Path, files: list[Path]) -> tuple[str, bool]:
    """Return what a file's pictures are called in a folder, none like another's, and whether they need a folder."""
    names: tuple[Callable[[Path], str], ...] = (
        lambda each: each.stem,
        lambda each: each.name,
        lambda each: f"{each.parent.name}-{each.name}",
    )
    others = {*files} - {path}
    free = [name(path) for name in names if not any(name(other) == name(path) for other in others)]
    return (free[0] if free else f"{files.index(path)}-{path.name}"), len(files) > 1


def _drawn(draw: Callable[[], Sheet], wanted: Mapping[picture.Kind, Path | None], name: tuple[str, bool]) -> bool:
    """Write the pictures of one file; say why on standard error and return False where one fails.

    `name`: what they are called in a folder, and whether one was named: else the picture's own name, or a folder's.
    """
    good, sheet = True, None
    for kind, told in wanted.items():
        if told is None:
            continue
        out = told / f"{name[0]}.{kind}" if name[1] or told.is_dir() else told
        try:
            sheet = sheet or draw()
            data = picture.encoded(sheet, kind)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(data)
        except (OSError, picture.PictureError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            sys.stderr.write(f"--{kind}: {out}: {why}\n")
            good = False
    return good


cli_compare.add(main, _interpret, _subject)

if __name__ == "__main__":
    main()
