"""What the cloud asks of the gateway: orders, sending again, a configuration. Receipts are the publisher's."""

from __future__ import annotations

import structlog
from feldsher_ehr_core import wire

from feldsher_edge.config import ConfigError, parse
from feldsher_edge.orders import Orders
from feldsher_edge.outbox import Outbox

_log = structlog.get_logger("commands")
_WANTED = "wanted configuration"


class Commands:
    """Acts on the messages that come down, each in the outbox's thread."""

    def __init__(self, outbox: Outbox, orders: Orders) -> None:
        self._outbox = outbox
        self._orders = orders

    async def __call__(self, message: wire.DownMessage) -> None:
        """Act on one message; repeats are harmless."""
        if isinstance(message, wire.OrderCommand):
            await self._outbox.call(self._orders.command, message)
        elif isinstance(message, wire.ResendRequest):
            count = await self._outbox.call(self._outbox.resend, message.since_us, message.until_us)
            _log.info("sending again", since_us=message.since_us, until_us=message.until_us, messages=count)
        elif isinstance(message, wire.Configuration):
            await self._outbox.call(self._configure, message)

    def _configure(self, message: wire.Configuration) -> None:
        """Keep a newer wanted configuration and report it; it is applied by a technician's restart, never from here."""
        store = self._outbox.store
        with store.transaction():
            if message.version <= wanted_version(self._outbox):
                return
            try:
                parse(message.toml)
                detail = f"configuration {message.version} is stored, not applied"
            except ConfigError as error:
                detail = f"configuration {message.version} is refused: {error}"
            store.run("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_WANTED, wire.encode(message)))
            fault = "refused" in detail
            self._outbox.put(
                lambda env: wire.DeviceStatus(
                    env=env, device="gateway", state="fault" if fault else "present", detail=detail
                )
            )
        _log.info("configuration", version=message.version, detail=detail)


def wanted_version(outbox: Outbox) -> int:
    """Return the version of the configuration that the cloud last sent, 0 where it sent none."""
    row = outbox.store.one("SELECT value FROM fact WHERE name = ?", (_WANTED,))
    if row is None:
        return 0
    stored = wire.decode_down(row[0])
    return stored.version if isinstance(stored, wire.Configuration) else 0
