"""The cloud's settings, from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from feldsher_cloud_api.ca import Clock, utc_now

DATABASE_URL, MQTT_URL, STATE, API_URL, MQTT_PUBLIC_URL, BROKER_RELOAD = (
    "FELDSHER_DATABASE_URL",
    "FELDSHER_MQTT_URL",
    "FELDSHER_STATE",
    "FELDSHER_API_URL",
    "FELDSHER_MQTT_PUBLIC_URL",
    "FELDSHER_BROKER_RELOAD",
)
ORDER_MINUTES = "FELDSHER_ORDER_MINUTES"
"""Environment variable: how long an order waits for its recording, minutes; a gateway's own kits wait ten at most."""
CANARY_MINUTES = "FELDSHER_CANARY_MINUTES"
"""Environment variable: how often a test alarm crosses the whole line, minutes; five where it is not set."""
TOKEN_MINUTES = "FELDSHER_TOKEN_MINUTES"  # noqa: S105 a name
"""Environment variable: how long an access token is good, minutes; five where it is not set, sixty at most."""
PROVIDERS = "FELDSHER_PROVIDERS"
"""Environment variable: a TOML file that names other OpenID providers with which people may sign in (docs/api.md)."""
SECOND_FACTOR = "FELDSHER_SECOND_FACTOR"
"""Environment variable: roles, parted by commas, that must have a second factor; who has none enrols at sign-in."""
IDLE_MINUTES, SESSION_HOURS = "FELDSHER_IDLE_MINUTES", "FELDSHER_SESSION_HOURS"
"""Environment variables: after how long unused, and after how long at all, a browser's session ends; 30 min, 12 h."""
ADDRESS_RATE, ASKER_RATE = "FELDSHER_ADDRESS_RATE", "FELDSHER_CLIENT_RATE"
"""Environment variables: requests a second of one network address, and of one person through one program.

Ten seconds' worth may come at once. 3000 where not set: it holds off who floods, not who works or measures.
"""
REFERENCES = "FELDSHER_REFERENCES"
"""Environment variable: `refuse` (where not set) or `accept` resources over REST whose references lead nowhere."""
UPDATE_CREATE = "FELDSHER_FHIR_UPDATE_CREATE"
"""Environment variable: 0 refuses a PUT under an id that nothing has; otherwise it creates, as loading data needs."""
DEMO = "FELDSHER_DEMO"
"""Environment variable: 1 marks every page and picture DEMO; without it they are taken for real patients'."""


class ConfigError(ValueError):
    """A setting that is missing or wrong; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation is told from outside.

    `api_url`: the address under which people and gateways reach the API (issuer of tokens, base of FHIR links).
    `mqtt_url`: the broker as this process reaches it; `mqtt_public_url`: as gateways reach it.
    `broker_reload`: the command that makes the broker read its revocation list again.
    `references`: whether REST refuses references that lead nowhere, and deleting what others refer to, or accepts it.
    """

    database_url: str
    mqtt_url: str = "mqtts://localhost:8883"
    mqtt_public_url: str | None = None
    broker_reload: str | None = None
    api_url: str = "http://127.0.0.1:8000"
    state: Path = Path(".state")
    clock: Clock = utc_now
    session_life: timedelta = timedelta(hours=12)
    session_idle: timedelta = timedelta(minutes=30)
    token_life: timedelta = timedelta(minutes=5)
    refresh_life: timedelta = timedelta(hours=12)
    offline_life: timedelta = timedelta(days=30)
    code_life: timedelta = timedelta(minutes=1)
    claim_life: timedelta = timedelta(hours=24)
    order_life: timedelta = timedelta(minutes=10)
    canary_every: timedelta = timedelta(minutes=5)
    references: str = "refuse"
    demo: bool = False
    second_factor_roles: frozenset[str] = frozenset()
    providers: Path | None = None
    address_rate: int = 3000
    asker_rate: int = 3000
    update_create: bool = True

    @property
    def secrets(self) -> Path:
        """The directory of secrets."""
        return self.state / "secrets"

    @property
    def ca_directory(self) -> Path:
        """The directory of the certificate authority."""
        return self.secrets / "ca"

    @property
    def fhir_base(self) -> str:
        """The base address of the FHIR interface, without a slash at its end."""
        return f"{self.api_url}/fhir"

    @property
    def loopback(self) -> bool:
        """Whether the API is only offered on this machine over plain HTTP, so that cookies cannot be Secure."""
        parts = urlsplit(self.api_url)
        return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1", "testserver"}

    def gateway_broker(self) -> tuple[str, int]:
        """Return host and port under which gateways reach the broker."""
        return broker(self.mqtt_public_url or self.mqtt_url)


def broker(url: str) -> tuple[str, int]:
    """Return host and port of an mqtts:// address; ConfigError where it is another."""
    parts = urlsplit(url)
    if parts.scheme != "mqtts" or parts.hostname is None:
        raise ConfigError(f"{MQTT_URL}: {url!r} is not mqtts://host:port")
    return parts.hostname, parts.port or 8883


_WEEK = 7 * 24 * 60
"""Minutes; the longest life of an order: who lies on the cardiograph then is not who was meant."""


def _minutes(name: str, text: str, most: int) -> timedelta:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ConfigError(f"{name}: {text!r} is not 1 to {most} minutes")
    return timedelta(minutes=int(text))


def _rate(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise ConfigError(f"{name}: {text!r} is not a number of requests a second, 1 to 1000000")
    return int(text)


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that the environment gives; ConfigError names a variable that is missing or wrong."""
    url = environment.get(DATABASE_URL)
    if not url:
        raise ConfigError(f"{DATABASE_URL}: not set; it is the address of the database, postgresql://…")
    settings = Settings(
        database_url=url,
        mqtt_url=environment.get(MQTT_URL, "mqtts://localhost:8883"),
        mqtt_public_url=environment.get(MQTT_PUBLIC_URL),
        broker_reload=environment.get(BROKER_RELOAD),
        api_url=environment.get(API_URL, "http://127.0.0.1:8000").rstrip("/"),
        state=Path(environment.get(STATE, ".state")),
        order_life=_minutes(ORDER_MINUTES, environment.get(ORDER_MINUTES, "10"), _WEEK),
        canary_every=_minutes(CANARY_MINUTES, environment.get(CANARY_MINUTES, "5"), 60),
        token_life=_minutes(TOKEN_MINUTES, environment.get(TOKEN_MINUTES, "5"), 60),
        references=environment.get(REFERENCES, "refuse"),
        demo=environment.get(DEMO) == "1",
        providers=Path(environment[PROVIDERS]) if environment.get(PROVIDERS) else None,
        second_factor_roles=frozenset(filter(None, environment.get(SECOND_FACTOR, "").replace(" ", "").split(","))),
        session_idle=_minutes(IDLE_MINUTES, environment.get(IDLE_MINUTES, "30"), 24 * 60),
        session_life=60 * _minutes(SESSION_HOURS, environment.get(SESSION_HOURS, "12"), 24 * 7),
        address_rate=_rate(ADDRESS_RATE, environment.get(ADDRESS_RATE, "3000")),
        asker_rate=_rate(ASKER_RATE, environment.get(ASKER_RATE, "3000")),
        update_create=environment.get(UPDATE_CREATE, "1") != "0",
    )
    if settings.references not in ("refuse", "accept"):
        raise ConfigError(f"{REFERENCES}: {settings.references!r} is neither refuse nor accept")
    parts = urlsplit(settings.api_url)
    if parts.scheme != "https" and not settings.loopback:
        raise ConfigError(f"{API_URL}: {settings.api_url!r} must be https:// outside this machine")
    settings.gateway_broker()
    return settings
