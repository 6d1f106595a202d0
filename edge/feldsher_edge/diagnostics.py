"""A bundle for the technician far away: how the gateway is, and nothing about anybody it has measured."""

from __future__ import annotations

import io
import platform
import shutil
import zipfile
from importlib.metadata import distributions

import msgspec

from feldsher_edge import proxy, status
from feldsher_edge.config import Config
from feldsher_edge.gateway import Gateway


async def bundle(gateway: Gateway) -> bytes:
    """Return a ZIP of JSON files: status (without orders), configuration, software, machine."""
    report = msgspec.structs.replace(await status.report(gateway), orders=())
    parts = {
        "status.json": report,
        "configuration.json": _without_secrets(gateway.config),
        "software.json": {d.name: d.version for d in distributions()},
        "machine.json": _machine(gateway),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, value in parts.items():
            made.writestr(name, msgspec.json.format(msgspec.json.encode(value, enc_hook=str)))
    return out.getvalue()


def _without_secrets(config: Config) -> Config:
    network = msgspec.structs.replace(config.network, proxy=proxy.shown(config.network.proxy))
    return msgspec.structs.replace(config, network=network)


def _machine(gateway: Gateway) -> dict[str, object]:
    disk = shutil.disk_usage(gateway.config.state)
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "disk_free": disk.free,
        "disk_total": disk.total,
        "boot": str(gateway.outbox.envelopes.clock.boot()),
    }
