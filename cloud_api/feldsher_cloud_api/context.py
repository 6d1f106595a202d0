"""What every route needs, made once per application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from cryptography.fernet import Fernet
from fastapi import Request

from feldsher_cloud_api import assertions, db, limits, outbound
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.limits import Brake
from feldsher_cloud_api.tokens import TokenKeys


@dataclass(slots=True)
class Context:
    """Settings, the pool (working as feldsher_api), the token keys, clients' keys, and the limits of asking.

    `brake`: guesses per address, `names`: per account's name; `addresses`, `askers`: requests per address, and per
    program and person.
    """

    settings: Settings
    pool: db.Pool
    tokens: TokenKeys
    cursor: Fernet
    brake: Brake = field(default_factory=Brake)
    names: Brake = field(default_factory=lambda: Brake(burst=20, every=30))
    addresses: Brake = field(init=False)
    askers: Brake = field(init=False)
    providers: outbound.Remembered = field(default_factory=outbound.Remembered)
    client_keys: assertions.Fetched = field(default_factory=assertions.Fetched)

    def __post_init__(self) -> None:
        """Make the limits as the settings have them."""
        self.addresses = limits.per_second(self.settings.address_rate)
        self.askers = limits.per_second(self.settings.asker_rate)


def context(request: Request) -> Context:
    """Return the application's context (a FastAPI dependency)."""
    return cast("Context", request.app.state.context)
