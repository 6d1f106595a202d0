"""What an ingest worker is told: addresses, files, shards, bounds. From the environment; the command line overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from feldsher_ehr_core.ids import INGEST_USERS, SHARDS

ALL_SHARDS = tuple(range(SHARDS))


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

    `ca`, `clients`: whom to trust, and the folder of our certificates. `seats`: into how many of the broker's users
    the shards are divided, the same for all workers of an installation: as many workers can be busy at once. `user`:
    the broker user that one connection is. `batch_*`: bounds of one transaction. `receive_maximum`: messages the broker
    may have under way to us; three batches: one commits, one is made ready, one arrives. `queue_bytes`: above it,
    reading from the broker pauses.
    """

    database_url: str
    mqtt_host: str
    mqtt_port: int
    ca: Path
    clients: Path
    state: Path
    seats: int = 1
    user: str = INGEST_USERS[0]
    shards: tuple[int, ...] = ALL_SHARDS
    metrics_port: int | None = None
    batch_messages: int = 500
    batch_bytes: int = 4_000_000
    receive_maximum: int = 1500
    queue_bytes: int = 64_000_000
    session_s: int = 7 * 86_400
    keepalive_s: int = 30

    @property
    def tls(self) -> Tls:
        """The files of the broker user: its name, the certificate's name and the MQTT client id are one."""
        return Tls(self.ca, self.clients / f"{self.user}.pem", self.clients / f"{self.user}.key")

    def for_seat(self, seat: int, at_once: int) -> Settings:
        """Return the settings of one seat's connection: its user, its shards, its part of what may be under way."""
        shards = tuple(range(seat, SHARDS, self.seats))
        return replace(self, user=INGEST_USERS[seat], shards=shards, receive_maximum=at_once)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings of FELDSHER_DATABASE_URL, FELDSHER_MQTT_URL, FELDSHER_STATE and their like.

    Certificates lie in the folder FELDSHER_MQTT_TLS (ca.pem, ingest.0.pem, ingest.0.key …) or beside the authority in
    FELDSHER_STATE. SettingsError names the variable that is missing or wrong.
    """
    state = Path(environment.get("FELDSHER_STATE", ".state"))
    host, port = mqtt_address(_needed(environment, "FELDSHER_MQTT_URL"))
    metrics = environment.get("FELDSHER_INGEST_METRICS_PORT")
    given, authority = environment.get("FELDSHER_MQTT_TLS"), state / "secrets" / "ca"
    return Settings(
        database_url=_needed(environment, "FELDSHER_DATABASE_URL"),
        mqtt_host=host,
        mqtt_port=port,
        ca=(Path(given) if given else authority) / "ca.pem",
        clients=Path(given) if given else authority / "clients",
        state=state,
        seats=parse_seats(environment.get("FELDSHER_INGEST_SEATS") or "1"),
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


def parse_seats(text: str) -> int:
    """Return a count of seats, 1 to 16; SettingsError for anything else: the broker knows no other ingest user."""
    if text not in {str(count) for count in range(1, len(INGEST_USERS) + 1)}:
        raise SettingsError(f"FELDSHER_INGEST_SEATS: {text!r} is not a number from 1 to {len(INGEST_USERS)}")
    return int(text)
