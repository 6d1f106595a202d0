"""What all commands share: where the configuration is, and how results and failures are told to people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from feldsher_edge import log, proxy
from feldsher_edge.checks import Check, good
from feldsher_edge.config import Config, ConfigError, load

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="FELDSHER_EDGE_CONFIG", help="The gateway's configuration (TOML).")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]
DEFAULT = Path("/etc/feldsher/edge.toml")
_MARKS = {True: "ok", False: "FAILED", None: "-"}


class Out:
    """Where a command tells its result: text for people, one JSON object (`json`) for programs."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        log.configure("error")  # what goes wrong is told in words; standard output is the result's alone
        self.console = Console(highlight=False, stderr=json)

    def result(self, value: Any, *words: str) -> None:
        """Tell a result: `value` as JSON, or `words` line by line."""
        if self.json:
            typer.echo(msgspec.json.encode(value, enc_hook=str).decode())
            return
        for line in words:
            self.console.print(line, markup=False, soft_wrap=True)

    def fail(self, text: str, todo: str = "", code: int = 2) -> NoReturn:
        """Tell what failed and what to do next, and end with `code`."""
        if self.json:
            typer.echo(msgspec.json.encode({"error": text, "next": todo}).decode())
        typer.echo(f"feldsher-edge: {text}", err=True)
        if todo:
            typer.echo(f"  next: {todo}", err=True)
        raise typer.Exit(code)

    def checks(self, checks: list[Check]) -> None:
        """Tell what was looked at; ends with code 1 where something that is needed failed."""
        if self.json:
            typer.echo(msgspec.json.encode({"ok": good(checks), "checks": checks}).decode())
        else:
            self.console.print(table(checks))
        if not good(checks):
            raise typer.Exit(1)

    def load(self, path: Path) -> Config:
        """Return the configuration, and take the way out that it names."""
        try:
            config = load(path)
        except ConfigError as error:
            self.fail(str(error), f"correct {path}, then: feldsher-edge check")
        proxy.use(config.network.proxy)
        return config


def table(checks: list[Check]) -> Table:
    """Return checks as people read them; what to do stands below what failed."""
    made = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        made.add_row(_MARKS[check.ok], check.name, check.detail)
        if check.next:
            made.add_row("", "", f"→ {check.next}")
    return made
