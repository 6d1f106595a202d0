"""The daemon as a program of its own, `python -m feldsher_edge.service CONFIG`: what `feldsher-edge run` becomes.

Without the command line's libraries, and with as many memory arenas and threads as a gateway needs, it takes a quarter
less memory for its whole life; the process stays the same, which service managers rely on.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

_LEAN = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
"""glibc makes an arena per thread, NumPy's OpenBLAS a buffer per core; the gateway computes next to nothing itself."""


def become(config: Path) -> NoReturn:
    """Replace this process by the daemon; what the environment sets already stays as it is."""
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [sys.executable, "-m", "feldsher_edge.service", str(config)]
    os.execve(sys.executable, arguments, _LEAN | os.environ)  # noqa: S606 - our own program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon of a configuration file; return 2 where it cannot run, 64 where the gateway was wiped."""
    from feldsher_edge import daemon, log  # noqa: PLC0415 - after the environment is what it should be
    from feldsher_edge.config import ConfigError, load  # noqa: PLC0415 - likewise
    from feldsher_edge.identity import ProvisionError  # noqa: PLC0415 - likewise
    from feldsher_edge.store import StoreError  # noqa: PLC0415 - likewise

    (path,) = map(Path, sys.argv[1:] if argv is None else argv)
    try:
        log.configure(load(path).log_level)
        ending = asyncio.run(daemon.run(path, random.SystemRandom()))
    except (ConfigError, ProvisionError, StoreError) as error:
        return _fail(str(error), 2)
    if ending == "wiped":
        return _fail("this gateway was wiped; it may be given away, or claimed anew", 64)
    return 0


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"feldsher-edge: {text}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
