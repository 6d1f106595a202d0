"""What the cloud asks of the gateway: orders and sending again here; the rest of it to `management`."""

from __future__ import annotations

import structlog
from feldsher_ehr_core import wire

from feldsher_edge.orders import Orders
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import DownHandler

_log = structlog.get_logger("commands")


class Commands:
    """Acts on the messages that come down. `others`: takes what is neither an order nor about the outbox."""

    def __init__(self, outbox: Outbox, orders: Orders) -> None:
        self._outbox = outbox
        self._orders = orders
        self.others: DownHandler | None = None

    async def __call__(self, message: wire.DownMessage) -> None:
        """Act on one message; repeats are harmless."""
        if isinstance(message, wire.OrderCommand):
            await self._outbox.call(self._orders.command, message)
            return
        if isinstance(message, wire.ResendRequest):
            count = await self._outbox.call(self._outbox.resend, message.since_us, message.until_us)
            _log.info("sending again", since_us=message.since_us, until_us=message.until_us, messages=count)
        if self.others is not None:
            await self.others(message)
