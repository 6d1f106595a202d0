"""Keeps the page's process running beside the gateway; a page that fails is started again, ever more rarely."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

_log = structlog.get_logger("page")
_CALM_S = 60.0
_LONGEST_S = 300.0
COMMAND = (sys.executable, "-m", "feldsher_edge.local")


async def keep(config: Path, command: Sequence[str] = COMMAND) -> None:
    """Run the page of a configuration until cancelled."""
    loop = asyncio.get_running_loop()
    delay_s = 1.0
    while True:
        since = loop.time()
        try:
            process = await asyncio.create_subprocess_exec(*command, str(config), stdin=asyncio.subprocess.DEVNULL)
        except OSError as error:
            _log.error("the page cannot be started", error=str(error))
        else:
            try:
                code = await process.wait()
                _log.error("the page has ended", code=code)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        delay_s = 1.0 if loop.time() - since > _CALM_S else min(_LONGEST_S, delay_s * 2)
        await asyncio.sleep(delay_s)
