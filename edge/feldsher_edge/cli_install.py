"""The command `install`: the program in its place, as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feldsher_edge import installing
from feldsher_edge.cli_common import Json, Out

_ROOT = Path("/")


def install(
    root: Annotated[Path, typer.Option(help="Place the files below this folder only, for an image.")] = _ROOT,
    json: Json = False,
) -> None:
    """Put this program in its place as a service: user, launcher, unit, command. Harmless to repeat."""
    out = Out(json=json)
    try:
        done = installing.install(root)
    except (installing.InstallError, OSError) as error:
        out.fail(str(error), "docs/operations/install.md names the steps")
    words = [f"[{number}/{len(done)}] {step.name}: {step.detail}" for number, step in enumerate(done, 1)]
    out.result(done, *words, "Now: feldsher-edge setup CLAIM")
