"""`feldsher-cloud backup`: what the server needs to archive its log, base backups, their verification, restoring."""

from __future__ import annotations

import os
import pwd
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from feldsher_cloud_api import backup
from feldsher_cloud_api.backup import BackupError
from feldsher_cloud_api.terminal import settings as _settings
from feldsher_cloud_api.terminal import show

app = typer.Typer()
Folder = Annotated[
    Path,
    typer.Option(
        envvar="FELDSHER_BACKUP",
        help="Folder of the backups, best on another machine's disk; PostgreSQL's user must be able to write in it.",
    ),
]


@contextmanager
def _named() -> Generator[None]:
    try:
        yield
    except (BackupError, OSError, msgspec.DecodeError) as error:
        typer.echo(f"feldsher-cloud backup: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def settings(
    folder: Folder,
    archive_timeout: Annotated[
        int, typer.Option(min=1, help="Seconds after which the log is archived though little was written.")
    ] = 60,
) -> None:
    """Print the lines for postgresql.conf that archive the log into the folder; then restart the server."""
    with _named():
        typer.echo(backup.settings(folder, archive_timeout), nl=False)


@app.command()
def base(
    folder: Folder,
    incremental: Annotated[bool, typer.Option(help="Only what has changed since the newest one.")] = False,
) -> None:
    """Make a base backup of the running server and verify it: daily, say, by a timer.

    The address in FELDSHER_DATABASE_URL must be of a user that may replicate.
    """
    with _named():
        made = backup.base(_settings().database_url, folder, "incremental" if incremental else "full")
    show(msgspec.to_builtins(made))


@app.command("list")
def list_bases(folder: Folder) -> None:
    """Print the whole base backups, oldest first, one JSON object per line."""
    with _named():
        for one in backup.listed(folder):
            show(msgspec.to_builtins(one))


@app.command()
def verify(folder: Folder) -> None:
    """Check every base backup file by file and the archived log for gaps; exit code 1 where something is wrong."""
    with _named():
        found = backup.verify(folder)
    show({"bases": found.bases, "segments": found.segments, "wrong": found.wrong})
    if found.wrong:
        raise typer.Exit(1)


@app.command()
def restore(
    folder: Folder,
    data: Annotated[Path, typer.Option(help="The data directory to make; it must be empty or not be there.")],
    to: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"],
            help="UTC, such as 2026-11-23T02:30:00. Without it: as far as the archive goes.",
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="As root: the user that PostgreSQL runs as.")] = None,
) -> None:
    """Make a data directory that recovers to a moment when PostgreSQL is started on it; nothing else is touched."""
    with _named():
        ids = None
        if owner is not None:
            try:
                ids = (pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
            except KeyError:
                raise BackupError(f"--owner: this machine has no user {owner!r}") from None
        elif os.geteuid() == 0:
            raise BackupError("as root, name the user that PostgreSQL runs as: --owner postgres")
        used = backup.restore(folder, data, None if to is None else to.replace(tzinfo=to.tzinfo or UTC), ids)
    show({"base": used.name, "data": str(data), "to": to})


@app.command()
def prune(
    folder: Folder, keep_days: Annotated[int, typer.Option(min=1, help="To any moment of so many days.")] = 14
) -> None:
    """Delete what no restore to a moment of the last days needs."""
    with _named():
        show({"deleted": backup.prune(folder, timedelta(days=keep_days), datetime.now(UTC))})
