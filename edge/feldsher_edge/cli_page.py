"""The command `page-pin`: the PIN without which the clinic's network does not see the gateway's page."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from feldsher_edge import owner
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out
from feldsher_edge.local import pin as pins


def page_pin(
    pin: Annotated[str | None, typer.Argument(help="At least six digits; without it, one is drawn.")] = None,
    config: ConfigFile = DEFAULT,
    json: Json = False,
) -> None:
    """Set the PIN of the gateway's own web page.

    The page is switched on in the configuration: [page] listen = "loopback" (this machine only) or "lan".
    """
    out = Out(json=json)
    settings = out.load(config)
    drawn = pin is None
    while pin is None or (drawn and not pins.hard_enough(pin)):
        pin = f"{secrets.randbelow(10**pins.LEAST_DIGITS):0{pins.LEAST_DIGITS}d}"
    try:
        pins.change(settings.state, pin)
        owner.hand_over(settings.state)
    except (pins.PinError, OSError) as error:
        out.fail(str(error), "feldsher-edge page-pin (without a PIN one is drawn)")
    words = f"The page's PIN is {pin}. Write it down: it is kept as a hash only." if drawn else "The PIN is set."
    where = f"http{'s' if settings.page.certificate else ''}://<this gateway>:{settings.page.port}/"
    state = f"The page: {where}" if settings.page.listen != "off" else 'The page is off: [page] listen = "lan"'
    out.result({"pin": pin if drawn else None, "page": settings.page.listen, "port": settings.page.port}, words, state)
