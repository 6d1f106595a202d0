"""The configuration that a gateway is to have: checked as the gateway checks it, signed for it alone, in versions.

A gateway tries a version, keeps it where it stays well and else goes back; what became of each is told by its task.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from feldsher_ehr_core import signed, wire
from feldsher_ehr_core.gateway_config import ConfigError, laid_over
from feldsher_ehr_core.toml_text import TomlTextError, with_value, written

from feldsher_cloud_api import db, gateway_keys
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import tasks
from feldsher_cloud_api.manage.tasks import Asker, TaskError

LIFE = timedelta(days=90)
"""So long a configuration waits for a gateway that is away; then it is written anew, by somebody who knows why."""
LARGEST = 100_000
"""Bytes of a configuration's text; a clinic with fifty devices takes six thousand."""
_queries = db.queries("configuration")


@dataclass(frozen=True, slots=True)
class Version:
    """A configuration that was wanted of a gateway, and what became of it."""

    version: int
    toml: str
    sha256: str
    reason: str
    asked_by: str
    created: datetime
    state: str
    detail: str | None
    state_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is wanted of a gateway beside what it reports; versions and sequences are 0 where there is none."""

    gateway: str
    reported_at: datetime | None
    software: str | None
    config_wanted: int
    config_state: str | None
    config_detail: str | None
    config_at: datetime | None
    config: int
    config_differs: bool
    update_wanted: int
    update_version: str | None
    update_state: str | None
    update_detail: str | None
    update_sequence: int
    slot: str | None
    update_differs: bool
    open_tasks: int
    bundle_at: datetime | None


def check(toml: str) -> None:
    """Raise TaskError, naming the field, where no gateway of this release could use a configuration.

    A gateway of another release judges for itself, with its own file below.
    """
    if len(toml.encode()) > LARGEST:
        raise TaskError(f"configuration: more than {LARGEST} bytes")
    try:
        laid_over({}, toml, "configuration")
    except ConfigError as error:
        raise TaskError(str(error)) from error


def author(
    connection: db.Connection, settings: Settings, gateway: str, toml: str, asker: Asker, *, reason: str
) -> tuple[int, UUID]:
    """Sign a configuration for a gateway, let it be sent, and return its version and task.

    TaskError names the wrong field, or why the gateway cannot be asked. What still waits of earlier versions is
    withdrawn.
    """
    check(toml)
    tasks.check_gateway(connection, gateway)
    now = settings.clock()
    _queries.lock(connection, gateway=gateway)
    version = 1 + int(_queries.newest(connection, gateway=gateway))
    signature = gateway_keys.sign(gateway_keys.word_key(settings), signed.configuration(gateway, version, toml))
    message = wire.Configuration(**tasks.head(now), version=version, toml=toml, signature=signature)
    earlier = tasks.open_of_kind(connection, gateway, "config", now)
    tasks.withdraw(connection, earlier, f"version {version} is wanted instead", now)
    task = tasks.ask(connection, gateway, message, asker, reason=reason, now=now, life=LIFE)
    digest = hashlib.sha256(toml.encode()).hexdigest()
    _queries.add(connection, gateway=gateway, version=version, toml=toml, sha256=digest, signature=signature, task=task)
    return version, task


def wanted(connection: db.Connection, gateway: str) -> str:
    """Return the newest configuration that is in force, on trial or on its way; empty where there is none."""
    row = _queries.wanted(connection, gateway=gateway)
    return "" if row is None else str(row[1])


def changed(toml: str, settings: Iterable[str]) -> str:
    """Return a configuration with single values set, each as `key=value`; TaskError names a setting that is none.

    Comments of the text are lost.
    """
    values = tomllib.loads(toml)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TaskError(f"{setting!r}: key=value is needed, like mqtt.heartbeat_s=30")
        try:
            values = with_value(values, key.strip(), value.strip())
        except TomlTextError as error:
            raise TaskError(str(error)) from error
    return written(values)


def versions(connection: db.Connection, gateway: str, most: int = 20) -> list[Version]:
    """Return the configurations that were wanted of a gateway, newest first, at most `most`."""
    return [Version(*row) for row in _queries.versions(connection, gateway=gateway, most=most)]


def standing(connection: db.Connection, gateway: str | None = None) -> list[Standing]:
    """Return what is wanted beside what is reported, of one gateway or of all."""
    return [Standing(*row) for row in _queries.standing(connection, gateway=gateway)]
