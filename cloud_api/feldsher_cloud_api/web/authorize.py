"""The page between a program and its tokens: who is signed in chooses the patient and, where they are asked, allows.

Programs start here with a person's browser (SMART standalone launch), or after the workstation has started them for a
patient (EHR launch, `launch.py`). What a person may see decides which patients they can choose.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidRequestError, InvalidScopeError
from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from feldsher_cloud_api import access, auth, db, oauth, scope
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, Form, OptionalPrincipal
from feldsher_cloud_api.clients import Client
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.secret import digest
from feldsher_cloud_api.tokens import Context as LaunchContext
from feldsher_cloud_api.web import people
from feldsher_cloud_api.web.desk import desk
from feldsher_cloud_api.web.render import Page
from feldsher_cloud_api.web.routes import PageRoute

PAGE_LIFE_S = 600
_OWN = ("patient", "proxy")
_queries = db.queries("oauth")
router = APIRouter(route_class=PageRoute, include_in_schema=False)


class InteractionRequiredError(OAuth2Error):
    """OpenID Connect: the program forbade a page (`prompt=none`), and one is needed."""

    error = "interaction_required"


@dataclass(slots=True)
class Visit:
    """One authorization request whose client, address, PKCE and scopes Authlib has found to be right."""

    of: Context
    who: Principal
    server: oauth.Server
    asked: oauth.Asked
    grant: Any

    @property
    def client(self) -> Client:
        """The program that asks."""
        return cast("Client", self.grant.request.client)

    @property
    def address(self) -> str:
        """Where its answer goes."""
        return str(self.grant.redirect_uri)

    @property
    def scopes(self) -> list[str]:
        """What may be granted: of a program's own scopes (`system/`) a person grants none."""
        named = str(self.grant.request.scope).split()
        kept = [s for s in named if not s.startswith("system/")]
        return [s for s in kept if s != "launch" or "launch" in self.asked.fields]

    def refuse(self, error: OAuth2Error) -> Response:
        """Return an error to the program's own address."""
        error.redirect_uri, error.state = self.address, self.asked.fields.get("state")
        return cast("Response", self.server.handle_error_response(self.asked, error))

    def allow(self, context: LaunchContext, scopes: list[str], session: UUID | None) -> Response:
        """Return a code to the program."""
        lasting = "offline_access" in scopes or session is None
        allowed = oauth.Allowed(self.who.person, " ".join(scopes), context, None if lasting else session)
        answer = self.server.create_authorization_response(self.asked, grant_user=allowed, grant=self.grant)
        return cast("Response", answer)


@router.get("/oauth/authorize")
def authorize(request: Request, of: CurrentContext, who: OptionalPrincipal) -> Response:
    """Lead a program's request to a code: at once, or over the page that asks; others are sent to sign in first."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        return JSONResponse({"error": "invalid_request", "error_description": "a parameter is repeated"}, 400)
    if who is None or who.scopes is not None:
        return auth.sign_in_first(of, f"/oauth/authorize?{request.url.query}")
    return _visited(request, of, who, fields, {})


@router.post("/oauth/authorize")
def decide(request: Request, of: CurrentContext, form: Form) -> Response:
    """Take what a person decided on the page; a program's own request by POST becomes one by GET."""
    if "sealed" not in form:
        return RedirectResponse(f"/oauth/authorize?{urlencode(form)}", 303)
    who = auth.optional_principal(request, of, form)
    if who is None or who.scopes is not None:
        return auth.sign_in_first(of, "/")
    try:
        kept = json.loads(of.cursor.decrypt(form["sealed"].encode(), ttl=PAGE_LIFE_S))
    except InvalidToken:
        return Page(request, of, who).show(
            "error.html", status=400, text=Page(request, of, who).words.say("signin.stale")
        )
    return _visited(request, of, who, cast("dict[str, str]", kept), form)


def _visited(request: Request, of: Context, who: Principal, fields: dict[str, str], form: dict[str, str]) -> Response:
    server, asked = oauth.Server(of), oauth.Asked(request, fields)
    try:
        visit = Visit(of, who, server, asked, server.get_consent_grant(asked, end_user=who))
    except OAuth2Error as error:
        return cast("Response", server.handle_error_response(asked, error))
    try:
        return _decided(request, visit, form)
    except OAuth2Error as error:
        return visit.refuse(error)


def _decided(request: Request, visit: Visit, form: dict[str, str]) -> Response:
    _check_audience(visit)
    scopes = visit.scopes
    if not scopes:
        raise InvalidScopeError("None of these scopes can be granted by this person to this program")
    if form.get("decision") == "refuse":
        raise AccessDeniedError()
    launch = _launch(visit)
    context = launch or _chosen(visit, scopes, form)
    if context is None or (visit.client.asks and form.get("decision") != "allow"):
        if visit.asked.fields.get("prompt") == "none":
            raise InteractionRequiredError("A person has to choose or to allow")
        return _page(request, visit, context, scopes, form)
    if launch is not None:
        _use(visit)
    return visit.allow(context, scopes, auth.session_id(visit.of, request))


def _check_audience(visit: Visit) -> None:
    """SMART: `aud` tells a genuine server from one that lures tokens; with a launch it must be there."""
    given, base = visit.asked.fields.get("aud"), visit.of.settings.fhir_base
    if given is None and not any(s in ("launch", "launch/patient") for s in visit.scopes):
        return
    if given is None or given.rstrip("/") != base:
        raise InvalidRequestError(f"aud must be {base}")


def _launch(visit: Visit) -> LaunchContext | None:
    token = visit.asked.fields.get("launch")
    if token is None:
        return None
    with visit.of.pool.connection() as connection:
        row = _queries.launch(
            connection, token_hash=digest(token), client=visit.client.id, person=visit.who.person,
            now=visit.of.settings.clock(),
        )  # fmt: skip
    if row is None:
        raise InvalidRequestError("launch is not one of this program and person, has been used, or is over")
    return LaunchContext(*row)


def _use(visit: Visit) -> None:
    with visit.of.pool.connection() as connection:
        used = _queries.use_launch(
            connection, token_hash=digest(visit.asked.fields["launch"]), now=visit.of.settings.clock()
        )
    if used != 1:
        raise InvalidRequestError("launch has been used")


def _chosen(visit: Visit, scopes: list[str], form: dict[str, str]) -> LaunchContext | None:
    """Return the patient that the program is about; nothing in it where it needs none, None where one is to choose."""
    own = visit.who.role in _OWN
    resources = [s for s in map(scope.parse, scopes) if s is not None]
    if "launch/patient" not in scopes and (own or not any(s.context == "patient" for s in resources)):
        return LaunchContext()
    if own and len(visit.who.patients) == 1:
        return LaunchContext(visit.who.patients[0])
    if "patient" not in form:
        return None
    try:
        patient = UUID(form["patient"])
        if own and patient not in visit.who.patients:
            raise AccessDeniedError()
        with desk(visit.of, visit.who) as at:
            at.read("Patient", patient)
    except (ValueError, FhirError, access.Forbidden) as error:
        raise AccessDeniedError() from error
    return LaunchContext(patient)


def _page(
    request: Request, visit: Visit, context: LaunchContext | None, scopes: list[str], form: dict[str, str]
) -> Response:
    page = Page(request, visit.of, visit.who)
    name = form.get("name", "")[:100]
    found: list[Any] = []
    if context is None:
        with desk(visit.of, visit.who) as at:
            shown = people.find(at, name)
        found = [p for p in shown if visit.who.role not in _OWN or p.id in visit.who.patients]
    kept = visit.of.cursor.encrypt(json.dumps(visit.asked.fields).encode()).decode()
    return page.show(
        "authorize.html",
        targets=origin(visit.address),
        client=visit.client,
        sealed=kept,
        choose=context is None,
        patient=form.get("patient", ""),
        found=found,
        name=name,
        most=people.MOST,
        wishes=wishes(scopes),
    )


def origin(address: str) -> tuple[str, ...]:
    """Return the origin of a program's address for the page's form-action; an app's own scheme is named by itself."""
    parts = urlsplit(address)
    return (f"{parts.scheme}://{parts.netloc}",) if parts.scheme in ("http", "https") else (f"{parts.scheme}:",)


def wishes(scopes: list[str]) -> list[tuple[str, str]]:
    """Return what a program wants as pairs of a word of the catalogue (`allow.…`) and a resource type."""
    wanted: list[tuple[str, str]] = []
    for text in scopes:
        of = scope.parse(text)
        if of is not None:
            writes = any(letter in of.letters for letter in "cud")
            wanted.append(("write" if writes else "read", "" if of.kind == "*" else of.kind))
        elif text in ("offline_access", "openid"):
            wanted.append((text, ""))
    return list(dict.fromkeys(wanted))
