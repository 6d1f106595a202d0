"""What every route needs, made once per application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from cryptography.fernet import Fernet
from fastapi import Request

from feldsher_cloud_api import assertions, db
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.passwords import Brake
from feldsher_cloud_api.tokens import TokenKeys


@dataclass(slots=True)
class Context:
    """Settings, the pool (working as feldsher_api), the token keys, the brake on guessing, and clients' keys."""

    settings: Settings
    pool: db.Pool
    tokens: TokenKeys
    cursor: Fernet
    brake: Brake = field(default_factory=Brake)
    client_keys: assertions.Fetched = field(default_factory=assertions.Fetched)


def context(request: Request) -> Context:
    """Return the application's context (a FastAPI dependency)."""
    return cast("Context", request.app.state.context)
