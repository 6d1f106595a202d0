"""A typed client for doctors' and partners' programs (extra `client`); it needs nothing of the server."""

from feldsher_cloud_api.client.answer import ConflictError, FhirClientError, GoneError, Issue, PreconditionError
from feldsher_cloud_api.client.credentials import Credentials, Key, Secret
from feldsher_cloud_api.client.fhir import Fhir, Resource

__all__ = (
    "ConflictError",
    "Credentials",
    "Fhir",
    "FhirClientError",
    "GoneError",
    "Issue",
    "Key",
    "PreconditionError",
    "Resource",
    "Secret",
)
