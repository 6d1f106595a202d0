"""What an ingest worker is told: addresses, files, shards, bounds. From the environment; the command line overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from feldsher_ehr_core.ids import INGEST_TOOL, INGEST_USERS, SHARDS

ALL_SHARDS = tuple(range(SHARDS))
_SERVICE = "ingest."
TOOL = INGEST_TOOL.removeprefix(_SERVICE)
"""What the command line is called in place of a worker's number."""


class SettingsError(ValueError):
    """A setting that cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of mutual TLS: whom to trust, and the certificate whose common name is our broker user."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a worker needs to know.

    `worker`: its number, 0 to 15, part of broker user and MQTT client id: the broker keeps its session. `batch_*`:
    bounds of one transaction. `receive_maximum`: messages the broker may have under way to us; three batches: one
    commits, one is made ready, one arrives. `queue_bytes`: above it, reading from the broker pauses.
    """

    database_url: str
    mqtt_host: str
    mqtt_port: int
    tls: Tls
    state: Path
    worker: str = "0"
    shards: tuple[int, ...] = ALL_SHARDS
    metrics_port: int | None = None
    batch_messages: int = 500
    batch_bytes: int = 4_000_000
    receive_maximum: int = 1500
    queue_bytes: int = 64_000_000
    session_s: int = 7 * 86_400
    keepalive_s: int = 30

    @property
    def client_id(self) -> str:
        """Broker user, name of the certificate and MQTT client id in one: the broker makes them equal."""
        return _SERVICE + self.worker


def from_environment(environment: Mapping[str, str], worker: str | None = None) -> Settings:
    """Return the settings of FELDSHER_DATABASE_URL, FELDSHER_MQTT_URL, FELDSHER_STATE and their like.

    `worker`: in place of FELDSHER_INGEST_WORKER. Certificates lie in the folder FELDSHER_MQTT_TLS (ca.pem,
    ingest.0.pem, ingest.0.key …) or beside the authority in FELDSHER_STATE. SettingsError names the variable that is
    missing or wrong.
    """
    if worker is None:
        worker = parse_worker(environment.get("FELDSHER_INGEST_WORKER", "0"))
    state = Path(environment.get("FELDSHER_STATE", ".state"))
    host, port = mqtt_address(_needed(environment, "FELDSHER_MQTT_URL"))
    metrics = environment.get("FELDSHER_INGEST_METRICS_PORT")
    return Settings(
        database_url=_needed(environment, "FELDSHER_DATABASE_URL"),
        mqtt_host=host,
        mqtt_port=port,
        tls=_tls(environment.get("FELDSHER_MQTT_TLS"), state / "secrets" / "ca", _SERVICE + worker),
        state=state,
        worker=worker,
        shards=parse_shards(environment.get("FELDSHER_INGEST_SHARDS", "")),
        metrics_port=int(metrics) if metrics else None,
    )


def database_url(environment: Mapping[str, str]) -> str:
    """Return FELDSHER_DATABASE_URL; SettingsError where it is missing."""
    return _needed(environment, "FELDSHER_DATABASE_URL")


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise SettingsError(f"{name} is not set (`./run up` prints it)")
    return environment[name]


def mqtt_address(url: str) -> tuple[str, int]:
    """Return host and port of an mqtts:// address; SettingsError for anything else: nothing travels unencrypted."""
    parts = urlsplit(url)
    if parts.scheme != "mqtts" or not parts.hostname:
        raise SettingsError(f"FELDSHER_MQTT_URL: {url!r} is not mqtts://host:port")
    return parts.hostname, parts.port or 8883


def _tls(given: str | None, authority: Path, user: str) -> Tls:
    clients = Path(given) if given else authority / "clients"
    return Tls((Path(given) if given else authority) / "ca.pem", clients / f"{user}.pem", clients / f"{user}.key")


def parse_worker(text: str) -> str:
    """Return a worker's number, 0 to 15; SettingsError for anything else: the broker knows no other ingest user."""
    if _SERVICE + text not in INGEST_USERS:
        raise SettingsError(f"worker: {text!r} is not a number from 0 to {len(INGEST_USERS) - 1}")
    return text


def parse_shards(text: str) -> tuple[int, ...]:
    """Return the shards of a list like `0-7,12` (empty: all); SettingsError where it is none."""
    if not text.strip():
        return ALL_SHARDS
    shards: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part.strip(), re.ASCII)
        if found is None:
            raise SettingsError(f"shards: {part.strip()!r} is neither a number nor a range like 0-7")
        first, last = int(found[1]), int(found[2] or found[1])
        shards.update(range(first, last + 1))
    if not shards or max(shards) >= SHARDS:
        raise SettingsError(f"shards: {text!r} is not within 0 to {SHARDS - 1}")
    return tuple(sorted(shards))
