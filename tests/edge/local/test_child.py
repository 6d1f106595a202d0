"""The page's process: started again when it fails, ended with the gateway, and refused to the network without a PIN."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from feldsher_edge.local import child


def read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


async def test_a_page_that_fails_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_LONGEST_S", 0.01)
    program = "import sys; open(sys.argv[1], 'a').write('x')"
    task = asyncio.create_task(child.keep(tmp_path / "starts", (sys.executable, "-c", program)))
    async with asyncio.timeout(60):
        while len(read(tmp_path / "starts")) < 2:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_page_ends_with_the_gateway(tmp_path: Path) -> None:
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(child.keep(tmp_path / "pid", (sys.executable, "-c", program)))
    async with asyncio.timeout(60):
        while not read(tmp_path / "pid"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    pid = int(read(tmp_path / "pid"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_network_is_not_served_without_a_pin(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(f'state = "{tmp_path}"\n[page]\nlisten = "lan"\n')
    done = subprocess.run(
        [*child.COMMAND, str(tmp_path / "edge.toml")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "feldsher-edge page-pin" in done.stderr) == (2, True)
