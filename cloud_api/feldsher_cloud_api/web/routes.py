"""What all pages' routes share: refusals as pages in the reader's language, and the page of a request."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from feldsher_cloud_api import auth
from feldsher_cloud_api.access import Forbidden, Unauthenticated
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import context
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.limits import TooFastError
from feldsher_cloud_api.web.render import Page, page_headers


class PageRoute(APIRoute):
    """A route whose refusals are pages in the reader's language, not JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler, dependencies included."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthenticated:
                return _sign_in_first(request)
            except Forbidden:
                return _refuse(request, 403)
            except FhirError as error:
                return _refuse(request, error.status)
            except TooFastError as error:
                response = _refuse(request, 429)
                response.headers["Retry-After"] = str(error.wait_s)
                return response

        return handle


def _sign_in_first(request: Request) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers=page_headers())
    reason = "expired" if auth.COOKIE in request.cookies else ""
    return auth.sign_in_first(context(request), request.url.path if request.method == "GET" else "/", reason)


def _refuse(request: Request, status: int) -> Response:
    page = Page(request, context(request), None)
    key = status if status in (403, 404, 409, 429) else {412: 409}.get(status, 404)
    return page.show("error.html", status=status, text=page.words.say(f"error.{key}"))


def _page(request: Request, of: CurrentContext, who: CurrentPrincipal) -> Page:
    return Page(request, of, who)


CurrentPage = Annotated[Page, Depends(_page)]
