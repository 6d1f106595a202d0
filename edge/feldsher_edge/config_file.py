"""Changing the technician's configuration file: comments and order stay, and what comes out is checked before it is in.

Only tables of devices are touched, as text; the result is parsed and compared with what was meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from feldsher_edge.config import ConfigError, convert, read, table

_HEAD = re.compile(r"^\s*\[\[\s*([A-Za-z_]+)\s*\]\]\s*(#.*)?$")
_ANY_HEAD = re.compile(r"^\s*\[")
_BASIC = re.compile(r'["\\\x00-\x1f\x7f]')


Field = str | list[str] | datetime
"""What can be written of a device."""


def create(path: Path, state: Path, timezone: str) -> None:
    """Write a first configuration where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"# The gateway's configuration; docs/devices.md names every kind of device.\nstate = {_value(str(state))}\n"
    _write(path, f"{text}timezone = {_value(timezone)}\n")


def add(path: Path, kind: str, fields: Mapping[str, Field]) -> None:
    """Add a device; ConfigError where the configuration would be wrong with it, and nothing is changed."""
    before = path.read_text(encoding="utf-8")
    lines = [f"[[{kind}]]", *(f"{name} = {_value(value)}" for name, value in fields.items())]
    meant = read(path)
    meant.setdefault(kind, []).append(dict(fields))
    _change(path, before.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n", meant)


def remove(path: Path, device: str) -> dict[str, Any]:
    """Remove a device and return what stood there; ConfigError where there is none of this name."""
    text = path.read_text(encoding="utf-8")
    kind, number = _find(path, device)
    meant = read(path)
    gone: dict[str, Any] = meant[kind].pop(number)
    if not meant[kind]:
        del meant[kind]
    first, end = _block(text, kind, number)
    lines = text.splitlines(keepends=True)
    while first > 0 and not lines[first - 1].strip():
        first -= 1
    _change(path, "".join([*lines[:first], *lines[end:]]), meant)
    return gone


def rename(path: Path, device: str, name: str) -> None:
    """Give a device another name; ConfigError where there is none of this name, or one of the other."""
    text = path.read_text(encoding="utf-8")
    kind, number = _find(path, device)
    meant = read(path)
    meant[kind][number]["device"] = name
    first, end = _block(text, kind, number)
    lines = text.splitlines(keepends=True)
    at = next((i for i in range(first, end) if re.match(r"^\s*device\s*=", lines[i])), None)
    if at is None:
        raise ConfigError(f"{path}: the line `device = …` of {device!r} is not found; change it by hand")
    lines[at] = f"device = {_value(name)}\n"
    _change(path, "".join(lines), meant)


def devices(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the kind and the fields of every device."""
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, value in read(path).items():
        if isinstance(value, list):
            found += [(kind, one) for one in value if isinstance(one, dict) and "device" in one]  # pyright: ignore[reportUnknownVariableType]
    return found


def testable(path: Path) -> list[str]:
    """Return the names of the devices that are on a cable or in the air; a watched folder cannot be tested."""
    return [str(fields["device"]) for _, fields in devices(path) if "port" in fields or "address" in fields]


def _find(path: Path, device: str) -> tuple[str, int]:
    seen: dict[str, int] = {}
    for kind, fields in devices(path):
        if fields["device"] == device:
            return kind, seen.get(kind, 0)
        seen[kind] = seen.get(kind, 0) + 1
    known = ", ".join(str(fields["device"]) for _, fields in devices(path)) or "none"
    raise ConfigError(f"{path}: no device is called {device!r}; there are: {known}")


def _block(text: str, kind: str, number: int) -> tuple[int, int]:
    """Return the lines of the `number`-th table of a kind, from its head to before the next head or its comments."""
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if (m := _HEAD.match(line)) and m.group(1) == kind]
    first = heads[number]
    end = next((i for i in range(first + 1, len(lines)) if _ANY_HEAD.match(lines[i])), len(lines))
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return first, end


def _value(text: Field) -> str:
    """Return a TOML string, an array of them, or a moment."""
    if isinstance(text, datetime):
        return text.isoformat()
    if isinstance(text, list):
        return f"[{', '.join(map(_value, text))}]"
    return '"' + _BASIC.sub(lambda m: f"\\u{ord(m.group()):04x}", text) + '"'


def _change(path: Path, text: str, meant: dict[str, Any]) -> None:
    found = table(text, str(path))
    if found != meant:
        raise ConfigError(f"{path}: it is written in a way that this program cannot change; change it by hand")
    convert(found, str(path))
    _write(path, text)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all; owner and mode stay, a new one is readable by all."""
    temporary = path.with_name(f".{path.name}.new")
    before = path.stat() if path.exists() else None
    with temporary.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644 if before is None else before.st_mode & 0o777)
        if before is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
