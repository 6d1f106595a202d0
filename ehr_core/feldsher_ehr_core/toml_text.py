"""Tables as TOML text: the standard library reads TOML and does not write it."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, cast

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_Values = Mapping[str, Any]


class TomlTextError(ValueError):
    """A value that TOML does not have, or a key that leads nowhere; the text names the key."""


def written(values: _Values) -> str:
    """Return tables as TOML: values first, then tables, then lists of tables; TomlTextError names what has no form."""
    return "\n".join(_lines(values, ())) + "\n"


def with_value(values: _Values, key: str, text: str) -> dict[str, Any]:
    """Return tables in which a dotted key has the value of a TOML text; what is no TOML value is taken as a word."""
    *way, last = key.split(".")
    if not all(_BARE.fullmatch(name) for name in (*way, last)):
        raise TomlTextError(f"{key!r}: names joined by dots are needed, like mqtt.heartbeat_s")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    out = dict(values)
    here = out
    for name in way:
        below: Any = here.get(name, {})
        if not isinstance(below, dict):
            raise TomlTextError(f"{key}: {name} is no table; a list is set as a whole")
        here[name] = dict(cast("_Values", below))
        here = here[name]
    here[last] = value
    return out


def _lines(values: _Values, path: tuple[str, ...]) -> Iterator[str]:
    tables = {name: cast("_Values", value) for name, value in values.items() if isinstance(value, dict)}
    lists = {name: value for name, value in values.items() if _is_tables(value)}
    for name, value in values.items():
        if name not in tables and name not in lists:
            yield f"{_key(name)} = {_value(value, '.'.join((*path, name)))}"
    for name, value in tables.items():
        yield f"\n[{_header((*path, name))}]"
        yield from _lines(value, (*path, name))
    for name, many in lists.items():
        for value in many:
            yield f"\n[[{_header((*path, name))}]]"
            yield from _lines(value, (*path, name))


def _is_tables(value: object) -> bool:
    many = cast("list[object]", value) if isinstance(value, list) else []
    return bool(many) and all(isinstance(one, dict) for one in many)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _header(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _value(value: object, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, int) or math.isfinite(value) else str(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(v, where) for v in cast('list[object]', value))}]"
    if isinstance(value, dict):
        pairs = cast("_Values", value).items()
        return "{" + ", ".join(f"{_key(k)} = {_value(v, f'{where}.{k}')}" for k, v in pairs) + "}"
    raise TomlTextError(f"{where}: {type(value).__name__} has no form in TOML here")


def _string(text: str) -> str:
    # JSON's escapes are TOML's; only DEL, which JSON lets pass, is not
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
