"""Registered programs: who they are, how they prove it, and what they may ask for."""

# Authlib carries no types; what it hands over is narrowed here and goes no further.
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import ClientMixin

from feldsher_cloud_api import db, granting
from feldsher_cloud_api.secret import digest

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
KEY_METHOD = "private_key_jwt"
METHODS = ("none", *SECRET_METHODS, KEY_METHOD)
KINDS = ("browser", "native", "server", "program")
"""What a client is: a page without a secret, an installed app, a web server with a secret or key, a backend service."""
_queries = db.queries("oauth")


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A registered program, as Authlib asks for it; `keys` (JSON Web Key Set) and `keys_uri` are its public keys.

    `sandbox`: it reaches the demo organisation only. `asks`: a person is asked before it gets anything of theirs.
    """

    id: str
    name: str
    secret_hash: bytes | None
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    person: UUID | None
    kind: str = "server"
    keys: dict[str, Any] | None = None
    keys_uri: str | None = None
    sandbox: bool = False
    asks: bool = False
    launch_uri: str | None = None

    @property
    def has_keys(self) -> bool:
        """Whether it proves itself by a key of its own."""
        return self.keys is not None or self.keys_uri is not None

    def get_client_id(self) -> str:
        """Return its id."""
        return self.id

    def get_default_redirect_uri(self) -> str | None:
        """Return nothing: OAuth 2.1 wants the address in each request."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return the part of the asked scopes that the client is registered for.

        Where none is asked, all but those of a launch: nobody is made to choose a patient unasked.
        """
        asked = scope.split() if scope else [s for s in self.scopes if s not in granting.LAUNCH]
        return " ".join(granting.granted(asked, self.scopes))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether an address is registered, to the letter."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether a secret is the client's, in constant time."""
        return self.secret_hash is not None and secrets.compare_digest(digest(client_secret), self.secret_hash)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Return whether the client may authenticate so: by its key where it has one, else its secret, else not."""
        if self.has_keys:
            return method == KEY_METHOD
        return method in SECRET_METHODS if self.secret_hash is not None else method == "none"

    def check_response_type(self, response_type: str) -> bool:
        """Return whether it may ask for codes."""
        return response_type == "code" and "authorization_code" in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether it is registered for a kind of grant."""
        return grant_type in self.grant_types


def find(connection: db.Connection, identity: str) -> Client | None:
    """Return a client that is registered, approved and not disabled."""
    row = _queries.client(connection, id=identity)
    if row is None:
        return None
    return Client(row[0], row[1], row[2], tuple(row[3]), tuple(row[4]), tuple(row[5]), *row[6:])
