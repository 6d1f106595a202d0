"""A program that talks to the record: signs in with client credentials, orders, waits until something is visible."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2

LOINC = "http://loinc.org"
POLL_S = 0.01

Resource = dict[str, Any]


class Client:
    """A FHIR client with a token of its own that it renews by itself."""

    def __init__(self, api_url: str, identity: str, secret: str) -> None:
        """Prepare; nothing is asked before the first call."""
        self._http = httpx2.Client(base_url=api_url, timeout=10)
        self._credentials = (identity, secret)
        self._token: str | None = None
        self._renew_at = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _headers(self) -> dict[str, str]:
        if self._token is None or time.monotonic() > self._renew_at:
            answer = self._http.post(
                "/oauth/token", data={"grant_type": "client_credentials"}, auth=self._credentials
            ).raise_for_status()
            made = answer.json()
            self._token, self._renew_at = made["access_token"], time.monotonic() + made["expires_in"] / 2
        return {"Authorization": f"Bearer {self._token}", "Accept": "application/fhir+json"}

    def create(self, resource: Resource) -> Resource:
        """Create a resource and return it as stored."""
        path = f"/fhir/{resource['resourceType']}"
        return self._http.post(path, json=resource, headers=self._headers()).raise_for_status().json()

    def picture(self, report: Resource) -> bytes:
        """Return the picture of a report as the SVG that it is."""
        path = f"/fhir/{report['presentedForm'][0]['url']}"
        headers = self._headers() | {"Accept": "image/svg+xml"}
        return self._http.get(path, headers=headers).raise_for_status().content

    def search(self, kind: str, **parameters: str) -> list[Resource]:
        """Return the resources of all pages of a search (by POST, so that no value stands in an address)."""
        answer = self._http.post(f"/fhir/{kind}/_search", data=parameters, headers=self._headers()).raise_for_status()
        found: list[Resource] = []
        while True:
            bundle = answer.json()
            found += [entry["resource"] for entry in bundle.get("entry", [])]
            following = [link["url"] for link in bundle.get("link", []) if link["relation"] == "next"]
            if not following:
                return found
            answer = self._http.get(following[0], headers=self._headers()).raise_for_status()

    def order_ecg(self, patient: str, cardiograph: str) -> str:
        """Order an ECG as the workstation does and return the order's id."""
        code = {"coding": [{"system": LOINC, "code": "11524-6", "display": "EKG study"}]}
        order = self.create(
            {
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "code": code,
                "subject": {"reference": f"Patient/{patient}"},
                "performer": [{"reference": f"Device/{cardiograph}"}],
            }
        )
        return str(order["id"])


def until(found: Callable[[], list[Resource]], *, timeout_s: float) -> tuple[list[Resource], float]:
    """Ask until something is found; return it with the wall time (seconds) of the answer that first had it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        resources = found()
        if resources:
            return resources, time.time()
        time.sleep(POLL_S)
    raise TimeoutError(f"nothing became visible within {timeout_s:g} s")
