"""The FHIR interface as a program uses it: one method for each interaction, and pages that follow each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import httpx2
import msgspec

from feldsher_cloud_api.client.answer import decode, encode

Resource = dict[str, Any]
Parameters = Mapping[str, str] | Sequence[tuple[str, str]]

MEDIA_TYPE = "application/fhir+json"
_PATCH = "application/json-patch+json"
_WHOLE = {"Prefer": "return=representation"}
_WAIT_S = 1.0
_UNDER_WAY = 202


class Fhir:
    """A FHIR R4 server at a base address. Every method raises FhirClientError where the server refuses."""

    def __init__(
        self, base: str, auth: httpx2.Auth | None = None, *, http: httpx2.Client | None = None, timeout_s: float = 30
    ) -> None:
        """Talk to the server at `base`; `http`: a client of one's own (proxies, certificates), closed by its owner."""
        self.base = base.rstrip("/") + "/"
        self._auth = auth
        self._own = None if http else httpx2.Client(timeout=timeout_s)
        self._http = http or self._own or httpx2.Client()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections that are its own."""
        if self._own:
            self._own.close()

    def read(self, kind: str, identity: str, version: str | None = None) -> Resource:
        """Return a resource, or one version of it."""
        return self._ask("GET", f"{kind}/{identity}" + (f"/_history/{version}" if version else ""))

    def create(self, resource: Resource, *, if_none_exist: str | None = None) -> Resource:
        """Create a resource and return it as stored; with a condition: the one that meets it, created if there is none.

        `if_none_exist`: search parameters, `identifier=http://…|123`. However often and by whomever it is sent, one is
        created.
        """
        headers = {"If-None-Exist": if_none_exist} if if_none_exist else {}
        return self._ask("POST", resource["resourceType"], resource, headers=headers | _WHOLE)

    def update(self, resource: Resource, *, always: bool = False) -> Resource:
        """Store a changed resource and return it; PreconditionError where somebody changed it since it was read.

        `always`: whatever others have done meanwhile is overwritten.
        """
        version = resource.get("meta", {}).get("versionId")
        headers = {"If-Match": f'W/"{version}"'} if version and not always else {}
        return self._ask("PUT", f"{resource['resourceType']}/{resource['id']}", resource, headers=headers | _WHOLE)

    def patch(self, kind: str, identity: str, operations: list[dict[str, Any]], version: str | None = None) -> Resource:
        """Change parts of a resource by JSON Patch (RFC 6902) and return it."""
        headers = {"If-Match": f'W/"{version}"'} if version else {}
        return self._ask("PATCH", f"{kind}/{identity}", operations, headers=headers | _WHOLE, media=_PATCH)

    def delete(self, kind: str, identity: str) -> None:
        """Delete a resource; its versions stay."""
        self._ask("DELETE", f"{kind}/{identity}")

    def pages(self, kind: str, parameters: Parameters = ()) -> Iterator[Resource]:
        """Yield a search's Bundles, page after page. The parameters go in the body: no address or log holds them."""
        pairs = list(parameters.items()) if isinstance(parameters, Mapping) else list(parameters)
        form = urlencode(pairs).encode()
        page = self._ask("POST", f"{kind}/_search", form, media="application/x-www-form-urlencoded")
        while True:
            yield page
            following = next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), None)
            if following is None:
                return
            page = self._ask("GET", following)

    def search(self, kind: str, parameters: Parameters = ()) -> Iterator[Resource]:
        """Yield every resource that a search finds, included ones among them, across all pages."""
        for page in self.pages(kind, parameters):
            yield from (entry["resource"] for entry in page.get("entry", ()))

    def history(self, kind: str, identity: str) -> Iterator[Resource]:
        """Yield a resource's versions, the newest first; a deletion has no resource and is left out."""
        following: str | None = f"{kind}/{identity}/_history"
        while following:
            page = self._ask("GET", following)
            yield from (entry["resource"] for entry in page.get("entry", ()) if "resource" in entry)
            following = next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), None)

    def transaction(self, entries: list[Resource], *, batch: bool = False) -> list[Resource]:
        """Send entries of a Bundle, all or none (`batch`: each for itself), and return the answers in their order."""
        kind = "batch" if batch else "transaction"
        sent = {"resourceType": "Bundle", "type": kind, "entry": entries}
        return self._ask("POST", "", sent, headers=_WHOLE).get("entry", [])

    def operation(self, path: str, body: Resource | None = None, **parameters: str) -> Resource:
        """Run an operation: `Patient/[id]/$everything`; with a body by POST, else by GET."""
        return self._ask("POST" if body else "GET", path, body, parameters=parameters)

    def export(
        self, path: str = "$export", *, sleep: Callable[[float], None] = time.sleep, **parameters: str
    ) -> Iterator[tuple[str, Resource]]:
        """Export in bulk and yield (type, resource); it waits as the server asks, and removes the files afterwards."""
        headers = {"Prefer": "respond-async"}
        status = self._send("GET", path, headers=headers, parameters=parameters)
        decode(status)
        place = status.headers["Content-Location"]
        while (answer := self._send("GET", place)).status_code == _UNDER_WAY:
            sleep(float(answer.headers.get("Retry-After", _WAIT_S)))
        try:
            for file in decode(answer)["output"]:
                lines = self._send("GET", file["url"], accept="application/fhir+ndjson")
                if lines.is_error:
                    decode(lines)
                for line in lines.content.splitlines():
                    yield file["type"], msgspec.json.decode(line)
        finally:
            self._send("DELETE", place)

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        media: str = MEDIA_TYPE,
        parameters: Mapping[str, str] | None = None,
    ) -> Any:
        return decode(self._send(method, path, body, headers=headers, media=media, parameters=parameters))

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        media: str = MEDIA_TYPE,
        accept: str = MEDIA_TYPE,
        parameters: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        content = body if isinstance(body, bytes) or body is None else encode(body)
        said = {"Accept": accept} | ({"Content-Type": media} if content is not None else {}) | dict(headers or {})
        # The root itself has no slash at its end; a next page's address is absolute and stays as it is.
        address = urljoin(self.base, path) if path else self.base.rstrip("/")
        auth = self._auth if self._auth is not None else httpx2.USE_CLIENT_DEFAULT
        if not f"{address}/".startswith(self.base):
            auth = None  # a page or file that the server keeps elsewhere: the token is nobody else's business
        return self._http.request(
            method, address, content=content, headers=said, params=dict(parameters or {}) or None, auth=auth
        )
