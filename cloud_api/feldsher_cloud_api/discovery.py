"""What clients discover: SMART App Launch, OpenID Connect, OAuth 2.1 (RFC 8414), and the public keys of tokens."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from feldsher_cloud_api import access, assertions, clients
from feldsher_cloud_api.auth import CurrentContext
from feldsher_cloud_api.config import Settings

CAPABILITIES = (
    "launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-ehr-patient",
    "context-ehr-encounter", "context-standalone-patient", "permission-offline", "permission-online",
    "permission-patient", "permission-user", "permission-v1", "permission-v2",
)  # fmt: skip
"""http://hl7.org/fhir/smart-app-launch/conformance.html: what is named here is served, and tested."""
_SCOPES = (
    *access.OTHER_SCOPES,
    *(
        f"{context}/*.{letters}"
        for context in ("patient", "user", "system")
        for letters in ("rs", "cruds", "read", "write")
    ),
)
router = APIRouter()


def endpoints(settings: Settings) -> dict[str, Any]:
    """Return authorization server metadata (RFC 8414)."""
    api, methods = settings.api_url, list(clients.METHODS)
    signed = list(assertions.ALGORITHMS)
    return {
        "issuer": api,
        "authorization_endpoint": f"{api}/oauth/authorize",
        "token_endpoint": f"{api}/oauth/token",
        "introspection_endpoint": f"{api}/oauth/introspect",
        "revocation_endpoint": f"{api}/oauth/revoke",
        "registration_endpoint": f"{api}/oauth/register",
        "management_endpoint": f"{api}/account",
        "jwks_uri": f"{api}/oauth/jwks",
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signed,
        "introspection_endpoint_auth_methods_supported": methods[1:],
        "introspection_endpoint_auth_signing_alg_values_supported": signed,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signed,
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": list(_SCOPES),
        "service_documentation": f"{api}/fhir/metadata",
    }


@router.get("/.well-known/oauth-authorization-server")
def authorization_server(of: CurrentContext) -> dict[str, Any]:
    """Return authorization server metadata (RFC 8414)."""
    return endpoints(of.settings)


@router.get("/.well-known/openid-configuration")
def openid_configuration(of: CurrentContext) -> dict[str, Any]:
    """Return OpenID Connect discovery."""
    return endpoints(of.settings) | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


@router.get("/.well-known/smart-configuration")
@router.get("/fhir/.well-known/smart-configuration")
def smart_configuration(of: CurrentContext) -> dict[str, Any]:
    """Return SMART App Launch discovery."""
    return endpoints(of.settings) | {"capabilities": list(CAPABILITIES)}


@router.get("/oauth/jwks")
def jwks(of: CurrentContext) -> dict[str, Any]:
    """Return the public keys that tokens are signed with."""
    return of.tokens.jwks()
