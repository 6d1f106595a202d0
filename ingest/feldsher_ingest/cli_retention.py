"""The command `feldsher-ingest retention`: how long what is kept, decided by a person; what would go, and doing it."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from feldsher_ingest import retention
from feldsher_ingest.archive import ArchiveError
from feldsher_ingest.settings import database_url
from feldsher_ingest.tier import Tier, agreed, sealed_with

retentions = typer.Typer(
    no_args_is_help=True,
    help="How long what is kept. Nothing is deleted without a policy; medical data only by one that names it.",
)


def _owner() -> retention.Connection:
    """Return a connection with the rights of FELDSHER_DATABASE_URL's user: policies are its owner's business."""
    return psycopg.connect(database_url(os.environ), autocommit=True, connect_timeout=10)


@retentions.command("show")
def show() -> None:
    """Show every kind of data, how long it is kept, and what would go now."""
    table = Table("kind", "kept", "decided", "last done", "would go now", "what it is")
    with _owner() as connection:
        known = retention.policies(connection)
        for kind, (least, words) in retention.KINDS.items():
            policy = known.get(kind)
            kept = f"for ever (at least {least} days)" if policy is None else f"{policy.days:g} days"
            decided = "" if policy is None else f"{policy.set_at:%Y-%m-%d} {policy.set_by}"
            done = "" if policy is None or policy.ran_at is None else f"{policy.ran_at:%Y-%m-%d %H:%M}"
            going = retention.drop(connection, kind, dry=True) if policy else []
            table.add_row(kind, kept, decided, done, str(sum(g.entries for g in going) or ""), words)
        Console().print(table)
        edition = retention.edition(connection)
        typer.echo(f"archive: {_archive(connection)}")
    typer.echo(f"TimescaleDB: {edition} (the columnstore of old readings is there with `timescale` only)")


def _archive(connection: retention.Connection) -> str:
    """Say whether recordings move into the archive, and whether this machine can do it."""
    which = sealed_with(connection)
    if which is None:
        return "nothing has moved there yet; the first machine to do so makes its key"
    try:
        agreed(connection)
    except ArchiveError as error:
        return f"not from this machine: {error}"
    return f"sealed with {which}; this machine has it"


@retentions.command("set")
def decide(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(retention.KINDS)}.")],
    days: Annotated[str, typer.Argument(help="For how many days it is kept, or `ever`.")],
) -> None:
    """Decide how long a kind of data is kept; it takes effect within a day, or with `run`."""
    try:
        wanted = None if days == "ever" else float(days)
    except ValueError:
        raise retention.PolicyError(f"days: {days[:20]!r} is neither a number nor `ever`") from None
    with _owner() as connection:
        retention.decide(connection, kind, wanted, getpass.getuser())
        going = retention.drop(connection, kind, dry=True)
    typer.echo(f"{kind} is kept {'for ever' if wanted is None else f'for {wanted:g} days'}")
    for one in going:
        typer.echo(f"  would go: {one.what}, {one.entries} entries")


@retentions.command("run")
def run(dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False) -> None:
    """Do now what the policies say."""
    total = 0
    with _owner() as connection:
        for kind in retention.policies(connection):
            for one in retention.drop(connection, kind, dry=dry_run):
                total += one.entries
                size = "" if one.bytes is None else f", {one.bytes / 1e6:.1f} MB"
                typer.echo(f"{'would go' if dry_run else 'gone'}: {one.what}, {one.entries} entries{size}")
        tier = Tier()
        while not dry_run and tier(connection):
            pass
    typer.echo(
        f"{total} entries {'would go' if dry_run else 'are gone'}, {tier.moved} recordings moved into the archive"
    )
