"""The page as a process: `python -m feldsher_edge.local CONFIG`, started by the gateway and ended with it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import uvicorn

from feldsher_edge.config import load
from feldsher_edge.local import pin
from feldsher_edge.local.guard import Guard
from feldsher_edge.local.page import Page

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent, the gateway, is gone however it ended."""


def main() -> int:
    """Serve the page of a configuration until told to end; 2 where it may not be shown."""
    config = load(Path(sys.argv[1]))
    settings, lan = config.page, config.page.listen == "lan"
    if lan and not pin.is_set(config.state):
        sys.stderr.write("feldsher-edge: the page needs a PIN before the network may see it: feldsher-edge page-pin\n")
        return 2
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    secure = settings.certificate is not None
    page = Page(config.state, Guard(config.state, lan, secure), config.zone(), demo="FELDSHER_DEMO" in os.environ)
    uvicorn.run(
        page.app(),
        host="0.0.0.0" if lan else "127.0.0.1",  # noqa: S104 - the network is what the technician asked for
        port=settings.port,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=32,
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
