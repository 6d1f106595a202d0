"""What every command of `feldsher-cloud` needs: the settings, the database as its owner, answers as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer

from feldsher_cloud_api import config, db
from feldsher_cloud_api.config import ConfigError, Settings


def settings() -> Settings:
    """Return the settings of the environment; a missing one ends the command and is named."""
    try:
        return config.from_environment()
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def owner(of: Settings) -> Generator[db.Connection]:
    """Connect as the database's owner, whom row-level security does not bind: this is an administrator's tool."""
    with db.connect(of.database_url) as connection, connection.transaction():
        yield connection


def show(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
