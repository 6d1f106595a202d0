"""Starting the gateway, or making it read its configuration again, whoever runs it: systemd, or nobody yet."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from feldsher_edge import status

UNIT = "feldsher-edge.service"
_LOOK_S = 0.2
_ANEW_S = 30.0


class ControlError(Exception):
    """The gateway cannot be started or reached; the text says what the technician can do."""


def has_unit() -> bool:
    """Say whether systemd runs here and knows the gateway's unit."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return False
    done = subprocess.run([systemctl, "cat", UNIT], capture_output=True, check=False)  # noqa: S603 - fixed words
    return done.returncode == 0


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed
    if done.returncode:
        raise ControlError(f"systemctl {' '.join(words)}: {done.stderr.strip() or 'failed'}; use sudo")


def reload(report: status.Report) -> None:
    """Let a running gateway read its configuration again; ControlError where it belongs to another user."""
    if report.pid is None:
        raise ControlError("the running gateway is an older program; restart it: systemctl restart feldsher-edge")
    try:
        os.kill(report.pid, signal.SIGHUP)
    except PermissionError as error:
        raise ControlError("the gateway runs as another user; use sudo") from error
    except ProcessLookupError as error:
        raise ControlError("the gateway has just ended; walk the path again") from error


def running(state: Path) -> status.Report | None:
    """Return the status of a gateway that runs, None where none does."""
    try:
        return status.ask(state)
    except status.StatusError:
        return None


class Control:
    """Starts what is to be started. `config`: the file; `state`: the gateway's directory."""

    def __init__(self, config: Path, state: Path) -> None:
        self._config = config
        self._state = state
        self._child: asyncio.subprocess.Process | None = None
        self.by_systemd = False

    async def start(self) -> None:
        """Have a gateway run that has read the present configuration; one that runs reads it again."""
        before = await asyncio.to_thread(running, self._state)
        if before is not None:
            reload(before)
            async with asyncio.timeout(_ANEW_S):
                while not await asyncio.to_thread(self._began_after, before.starts):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_S)
        elif has_unit():
            await asyncio.to_thread(_systemctl, "start", "--no-block", UNIT)
            self.by_systemd = True
        else:
            words = ("-m", "feldsher_edge.service", str(self._config))
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, *words, stderr=asyncio.subprocess.DEVNULL
            )

    def _began_after(self, starts: int) -> bool:
        now = running(self._state)
        return now is not None and now.starts > starts

    @property
    def borrowed(self) -> bool:
        """Say whether the gateway runs only as long as this command does."""
        return self._child is not None

    async def end(self) -> None:
        """End a gateway that was started for this command alone."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.terminate()
            await self._child.wait()
            self._child = None


@asynccontextmanager
async def control(config: Path, state: Path) -> AsyncGenerator[Control]:
    """Give control over the gateway of a configuration."""
    made = Control(config, state)
    try:
        yield made
    finally:
        await made.end()
