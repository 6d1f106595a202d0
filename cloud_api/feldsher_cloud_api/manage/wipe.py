"""Making a gateway forget everything before it is returned or goes to others: a command that only its cloud signs."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from feldsher_ehr_core import signed, wire

from feldsher_cloud_api import db, gateway_keys
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import tasks
from feldsher_cloud_api.manage.tasks import Asker

LIFE = timedelta(days=365)
"""A gateway that lies in a drawer must still forget when it is switched on; a revoked one cannot be told any more."""


def ask(
    connection: db.Connection, settings: Settings, gateway: str, asker: Asker, *, reason: str, force: bool = False
) -> UUID:
    """Sign and send the command to forget everything, and return the task's id; TaskError where it cannot be asked.

    The gateway first sends what waits in its outbox; `force`: it does not.
    """
    now = settings.clock()
    head = tasks.head(now)
    said = signed.wipe(gateway, head["id"].bytes, force=force)
    signature = gateway_keys.sign(gateway_keys.word_key(settings), said)
    message = wire.Wipe(**head, signature=signature, force=force)
    return tasks.ask(connection, gateway, message, asker, reason=reason, now=now, life=LIFE)
