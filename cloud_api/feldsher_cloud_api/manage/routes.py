"""What gateways fetch and send over HTTPS beside their messages: updates offered to them, bundles asked of them."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi import Path as FromPath
from fastapi.responses import FileResponse

from feldsher_cloud_api import access
from feldsher_cloud_api.auth import CurrentContext
from feldsher_cloud_api.gateway_auth import CallingGateway, GatewayRefusedError
from feldsher_cloud_api.manage import diagnostics, release

_log = structlog.get_logger()
router = APIRouter(prefix="/gateway")


async def _body(request: Request) -> bytes:
    return await request.body()


@router.get("/artefact/{sha256}")
def artefact(
    sha256: Annotated[str, FromPath(pattern="^[0-9a-f]{64}$")], caller: CallingGateway, of: CurrentContext
) -> FileResponse:
    """Return the bytes of an update that the asking gateway was offered, or a range of them."""
    with access.gateway(of.pool, caller.gateway) as connection:
        size = release.offered_size(connection, sha256)
    if size is None:
        raise GatewayRefusedError(403, "not-offered", "this update was not offered to this gateway, or no longer is")
    path = release.path_of(of.settings, sha256)
    if not path.is_file() or path.stat().st_size != size:
        _log.error("artefact_missing", sha256=sha256)
        raise GatewayRefusedError(503, "missing", "the update's bytes are missing in the cloud's store")
    return FileResponse(path, media_type="application/octet-stream")


@router.post("/diagnostics")
def receive_bundle(
    caller: CallingGateway, of: CurrentContext, data: Annotated[bytes, Depends(_body)]
) -> dict[str, int]:
    """Keep a diagnostics bundle (ZIP) that somebody has asked the gateway for."""
    with access.gateway(of.pool, caller.gateway) as connection:
        diagnostics.receive(connection, caller.gateway, data, of.settings.clock())
    _log.info("bundle_received", gateway=caller.gateway, size=len(data))
    return {"received": len(data)}
