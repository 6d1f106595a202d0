"""The routes of search: of a type, of the whole server and of a patient's compartment, by GET and by POST."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from feldsher_cloud_api import access
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import rest, searching
from feldsher_cloud_api.fhir.criterion import Pairs
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.searching import Where

_FORM = "application/x-www-form-urlencoded"
MOST_PAIRS = 256

router = APIRouter(prefix="/fhir")


def _pairs(text: str) -> Pairs:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PAIRS)
    except ValueError as error:
        raise FhirError(400, "invalid", f"more than {MOST_PAIRS} parameters", "http") from error


async def asked_by_form(request: Request) -> Pairs:
    """Return the parameters of a form and of the address, both count (a FastAPI dependency)."""
    body = (await request.body()).decode("utf-8", "replace")
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if body and kind != _FORM:
        raise FhirError(415, "not-supported", f"a search by POST is {_FORM}, not {kind[:60]}")
    return _pairs(request.url.query) + [(n, v) for n, v in _pairs(body) if n != "csrf"]


def asked_by_address(request: Request) -> Pairs:
    """Return the parameters of the address (a FastAPI dependency)."""
    return _pairs(request.url.query)


ByAddress = Annotated[Pairs, Depends(asked_by_address)]
ByForm = Annotated[Pairs, Depends(asked_by_form)]


def _search(request: Request, of: Context, who: Principal, where: Where, pairs: Pairs) -> Response:
    rest.accepts_json(request)
    lenient = "handling=lenient" in request.headers.get("prefer", "").replace(" ", "")
    with access.asking(of.pool, who) as connection:
        return rest.reply(searching.answer(of, who, connection, where, pairs, lenient=lenient))


@router.get("")
@router.get("/", include_in_schema=False)
def search_all_by_get(request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByAddress) -> Response:
    """Search several types (`_type`), or all that may be searched."""
    return _search(request, of, who, Where(""), pairs)


@router.post("/_search")
def search_all_by_post(request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByForm) -> Response:
    """Search several types (`_type`), or all, with the parameters of the form."""
    return _search(request, of, who, Where(""), pairs)


@router.get("/{kind}")
def search_by_get(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByAddress) -> Response:
    """Search a type with the parameters of the address."""
    return _search(request, of, who, searching.of_type(kind), pairs)


@router.post("/{kind}/_search")
def search_by_post(kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByForm) -> Response:
    """Search a type with the parameters of the form (and of the address, both count)."""
    return _search(request, of, who, searching.of_type(kind), pairs)


@router.get("/Patient/{patient}/{kind}")
def search_compartment_by_get(
    patient: str, kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByAddress
) -> Response:
    """Search a type, or all (`*`), in a patient's compartment."""
    return _search(request, of, who, searching.of_compartment(patient, kind), pairs)


@router.post("/Patient/{patient}/{kind}/_search")
def search_compartment_by_post(
    patient: str, kind: str, request: Request, of: CurrentContext, who: CurrentPrincipal, pairs: ByForm
) -> Response:
    """Search a type, or all (`*`), in a patient's compartment with the parameters of the form."""
    return _search(request, of, who, searching.of_compartment(patient, kind), pairs)
