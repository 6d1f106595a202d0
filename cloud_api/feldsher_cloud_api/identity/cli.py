"""`feldsher-cloud identity`: attaching residents by a list, districts without a holder, looking for duplicates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feldsher_cloud_api import terminal
from feldsher_cloud_api.identity import attachment, duplicate, reconcile
from feldsher_cloud_api.identity.reconcile import ListError

app = typer.Typer(no_args_is_help=True)


@app.command("attach")
def attach(
    file: Annotated[Path, typer.Argument(help=f"CSV with the columns {', '.join(reconcile.COLUMNS)}", exists=True)],
    keep: Annotated[
        bool, typer.Option("--keep", help="do it; without this it is only told what would be done")
    ] = False,
) -> None:
    """Attach the residents of a list to their clinics and districts, and print what came of each line."""
    of = terminal.settings()
    with terminal.owner(of) as connection, connection.transaction(force_rollback=not keep):
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                report = reconcile.apply(connection, reconcile.read(lines), of.clock())
        except ListError as error:
            raise typer.BadParameter(str(error)) from error
    terminal.show(asdict(report) | {"kept": keep})


@app.command("vacancies")
def vacancies() -> None:
    """Print the districts that nobody holds just now."""
    of = terminal.settings()
    with terminal.owner(of) as connection:
        for each in attachment.vacancies(connection, of.clock()):
            terminal.show(each)


@app.command("duplicates")
def duplicates() -> None:
    """Look through all patients for records that may be one person's; they then wait in the queue of duplicates."""
    of, after, batches = terminal.settings(), None, 0
    while batches == 0 or after is not None:
        with terminal.owner(of) as connection:
            after = duplicate.scan(connection, of.clock(), after=after)
        batches += 1
    terminal.show({"batches": batches})
