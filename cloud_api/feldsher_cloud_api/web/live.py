"""The page that shows an ordered ECG while it is being recorded, and the stream that moves it.

For electrodes and patience, not for reading: what is shown is what the line lets through; the ECG comes afterwards.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from feldsher_ehr_core import wire
from feldsher_signal import codec

from feldsher_cloud_api import access, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir.outcome import FhirError, not_found
from feldsher_cloud_api.live import Hub, Key
from feldsher_cloud_api.web import ecg, people, record
from feldsher_cloud_api.web.desk import desk
from feldsher_cloud_api.web.pages import CurrentPage, PageRoute
from feldsher_cloud_api.web.render import page_headers

LIFE_S = 120.0
"""Then the browser asks anew, and is asked who it is."""
LOOK_S = 1.0
"""So often the order's state is looked at while nothing comes."""
ENDED = frozenset({"lapsed", "replaced", "refused", "failed", "cancelled", "reported"})

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_queries = db.queries("order")


def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.live
    return hub


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an order is: its state, the words for it, and the report once there is one."""

    state: str
    words: str
    report: UUID | None

    @property
    def ended(self) -> bool:
        """Say whether nothing more will move."""
        return self.report is not None or self.state in ENDED

    def event(self) -> bytes:
        """Return it as an event of the stream."""
        said = {"state": self.state, "words": self.words, "report": self.report, "ended": self.ended}
        return b"event: state\ndata: " + msgspec.json.encode(said) + b"\n\n"


Look = Callable[[], Awaitable[Standing | None]]


@router.get("/live/{identity}")
def live_page(identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show the running recording of an order."""
    access.permit_role(who, "doctor")
    with desk(of, who) as at:
        stored = at.read("ServiceRequest", identity)
        if stored.patient is None:
            raise not_found("ServiceRequest")
        person = people.person(at.read("Patient", stored.patient))
        standing = _standing_of(record.state_of(stored)[0], record.report_for(at, identity), page)
        return page.show("live.html", order=identity, patient=person, standing=standing)


@router.get("/live/{identity}/strip")
async def live_strip(
    identity: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, hub: Annotated[Hub, Depends(_hub)]
) -> Response:
    """Stream an order's pieces and its state as server-sent events, to those who may see its patient."""
    access.permit_role(who, "doctor")
    key = await anyio.to_thread.run_sync(_opened, of, who, identity)

    async def look() -> Standing | None:
        return await anyio.to_thread.run_sync(_looked, of, who, identity, page)

    headers = page_headers() | {"X-Accel-Buffering": "no"}
    return StreamingResponse(events(hub, key, look), media_type="text/event-stream", headers=headers)


def _opened(of: Context, who: Principal, identity: UUID) -> Key:
    """Return what may be watched, and note that it was; FhirError 404 where the order is out of reach."""
    with desk(of, who) as at:
        at.read("ServiceRequest", identity)
        gateway = _queries.gateway(at.connection, order=identity)
    if gateway is None:
        raise not_found("ServiceRequest")
    return identity, gateway


def _looked(of: Context, who: Principal, identity: UUID, page: CurrentPage) -> Standing | None:
    """Return how far the order is; None where the person may no longer see it."""
    try:
        with desk(of, who) as at:
            stored = at.read("ServiceRequest", identity)
            found = _standing_of(record.state_of(stored)[0], record.report_for(at, identity), page)
            at.unshown()  # noted when the stream was opened
            return found
    except FhirError:
        return None


def _standing_of(state: str, report: UUID | None, page: CurrentPage) -> Standing:
    return Standing(state, page.words.code("order_state", state), report)


async def events(hub: Hub, key: Key, look: Look) -> AsyncGenerator[bytes]:
    """Give a recording's pieces as they come, and the order's state at least every second; end when it has ended."""
    loop = asyncio.get_running_loop()
    until, next_look = loop.time() + LIFE_S, loop.time()
    yield b"retry: 500\n\n"
    with hub.watching(key) as pieces:
        while loop.time() < until:
            try:
                async with asyncio.timeout_at(next_look):
                    piece = await pieces.get()
            except TimeoutError:
                standing = await look()
                if standing is None:
                    return
                yield standing.event()
                if standing.ended and pieces.empty():
                    return
                next_look = loop.time() + LOOK_S
            else:
                yield piece_event(piece)


def piece_event(piece: wire.LiveStrip) -> bytes:
    """Return a piece as an event of the stream: its samples in the planes that static/ecg_record.js reads."""
    samples = codec.decode(piece.samples, len(piece.leads), piece.n, piece.codec)
    said = {
        "first": piece.first,
        "n": piece.n,
        "fs": piece.fs,
        "leads": piece.leads,
        "uv_per_bit": piece.uv_per_bit,
        "made_us": piece.env.wall_us,
        "planes": base64.b64encode(ecg.planes(samples)).decode(),
    }
    return b"data: " + msgspec.json.encode(said) + b"\n\n"
