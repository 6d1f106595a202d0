"""The gateway's sockets: for the directory's owner alone, and nothing else of the process changes for them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from feldsher_edge.status import listening


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.close()


async def test_two_sockets_at_once_are_the_owners_and_leave_the_umask_alone(tmp_path: Path) -> None:
    """They once took turns in setting the umask: every folder made afterwards was closed to its own gateway."""
    before = os.umask(0o022)
    try:
        servers = await asyncio.gather(*(listening(tmp_path, name, _silent) for name in ("one", "two", "three")))
        assert os.umask(0o022) == 0o022
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("one", "two", "three")} == {0o600}
        (tmp_path / "folder").mkdir()
        assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "two"))
        writer.close()
        again = await listening(tmp_path, "two", _silent)  # what a killed gateway left behind is replaced
        for server in (*servers, again):
            server.close()
    finally:
        os.umask(before)
