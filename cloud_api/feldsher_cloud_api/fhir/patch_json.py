"""JSON Patch (RFC 6902) on resources: one new value, or a refusal that names the operation; nothing in between.

Own code, because the library for it (jsonpatch 1.33) takes `true` for `1` when it tests, and a patch that copies what
it has copied grows without bound there.
"""

from __future__ import annotations

import copy
import re
from typing import Any, cast

from feldsher_cloud_api.fhir.outcome import FhirError

MOST_OPERATIONS = 1000
MOST_COPIED = 100_000
"""Values that `copy` operations of one patch may make: doubling what is there thirty times would fill any memory."""
_NEEDS = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_ESCAPE = re.compile(r"~(?![01])")


def apply(resource: dict[str, Any], patch: Any) -> Any:
    """Return what a patch makes of a resource, which itself stays as it is; decimals keep their digits.

    FhirError 400 where the patch is none, 422 where an operation does not fit the resource or a test fails.
    """
    operations = cast("list[Any]", patch) if isinstance(patch, list) else None
    if operations is None:
        raise FhirError(400, "structure", "a JSON Patch is an array of operations")
    if len(operations) > MOST_OPERATIONS:
        raise FhirError(400, "too-long", f"more than {MOST_OPERATIONS} operations are not taken")
    holder: dict[str, Any] = {"": copy.deepcopy(resource)}
    room = MOST_COPIED
    try:
        for i, operation in enumerate(operations):
            room -= _run(holder, operation, f"patch[{i}]", room)
    except RecursionError as error:
        raise _unfit("patch: too many values within each other", "patch") from error
    return holder[""]


def _run(holder: dict[str, Any], operation: Any, at: str, room: int) -> int:
    """Do one operation and return how many values it has copied. The document is the holder's one member."""
    given = cast("dict[str, Any]", operation) if isinstance(operation, dict) else {}
    op: Any = given.get("op")
    if not isinstance(op, str) or op not in _NEEDS:
        raise FhirError(400, "structure", f"{at}: op is not one of {', '.join(_NEEDS)}", f"{at}.op")
    for name in _NEEDS[op]:
        if name not in given:
            raise FhirError(400, "required", f"{at}: {op} needs {name}", f"{at}.{name}")
    path = _pointer(given.get("path"), f"{at}.path")
    if op in ("move", "copy"):
        return _carry(holder, op, _pointer(given["from"], f"{at}.from"), path, at, room)
    if op == "add":
        _add(holder, path, copy.deepcopy(given["value"]), f"{at}.path")
    elif op == "remove":
        _remove(holder, path, f"{at}.path")
    elif op == "replace":
        _replace(holder, path, copy.deepcopy(given["value"]), f"{at}.path")
    elif not same(_find(holder, path, f"{at}.path"), given["value"]):
        raise _unfit(f"{at}: the test does not hold", f"{at}.value")
    return 0


def _carry(holder: dict[str, Any], op: str, source: list[str], path: list[str], at: str, room: int) -> int:
    """Move or copy a value and return how many values were copied."""
    if op == "move" and path[: len(source)] == source and len(path) > len(source):
        raise _unfit(f"{at}: nothing can be moved into itself", f"{at}.from")
    value = _find(holder, source, f"{at}.from")
    copied = _count(value, room) if op == "copy" else 0
    if copied > room:
        raise _unfit(f"{at}: the copies hold more than {MOST_COPIED} values", at)
    if op == "move":
        _remove(holder, source, f"{at}.from")
    _add(holder, path, copy.deepcopy(value) if op == "copy" else value, f"{at}.path")
    return copied


def _unfit(words: str, at: str) -> FhirError:
    return FhirError(422, "processing", words, at)


def _pointer(text: Any, at: str) -> list[str]:
    """Return a JSON Pointer's steps (RFC 6901), the first of them into the holder."""
    if not isinstance(text, str) or (text and text[0] != "/") or _ESCAPE.search(text):
        raise FhirError(400, "value", f"{at}: a JSON Pointer is needed (RFC 6901)", at)
    return [step.replace("~1", "/").replace("~0", "~") for step in ("", *text.split("/")[1:])]


def _find(holder: Any, steps: list[str], at: str) -> Any:
    value = holder
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = cast("dict[str, Any]", value)[step]
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            value = items[_index(step, len(items) - 1, at)]
        else:
            raise _unfit(f"{at}: there is no such place", at)
    return value


def _index(step: str, most: int, at: str) -> int:
    if not _INDEX.fullmatch(step) or int(step) > most:
        raise _unfit(f"{at}: the array has no such place", at)
    return int(step)


def _add(holder: Any, steps: list[str], value: Any, at: str) -> None:
    parent, last = _find(holder, steps[:-1], at), steps[-1]
    if isinstance(parent, list):
        items = cast("list[Any]", parent)
        items.insert(len(items) if last == "-" else _index(last, len(items), at), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _unfit(f"{at}: there is no such place", at)


def _replace(holder: Any, steps: list[str], value: Any, at: str) -> None:
    _find(holder, steps, at)
    parent, last = _find(holder, steps[:-1], at), steps[-1]
    parent[int(last) if isinstance(parent, list) else last] = value


def _remove(holder: Any, steps: list[str], at: str) -> None:
    _find(holder, steps, at)
    parent, last = _find(holder, steps[:-1], at), steps[-1]
    if steps == [""]:
        raise _unfit(f"{at}: the whole resource cannot be taken away", at)
    del parent[int(last) if isinstance(parent, list) else last]


def _count(value: Any, most: int) -> int:
    """Return how many values a value holds, itself among them; counting ends soon after `most`."""
    ahead, counted = [value], 0
    while ahead and counted <= most:
        item = ahead.pop()
        counted += 1
        if isinstance(item, dict):
            ahead.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            ahead.extend(cast("list[Any]", item))
    return counted


def same(a: Any, b: Any) -> bool:
    """Return whether two JSON values are equal: numbers by their value, `true` never to `1`, objects in any order."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        x, y = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        return x.keys() == y.keys() and all(same(x[k], y[k]) for k in x)
    if isinstance(a, list) and isinstance(b, list):
        v, w = cast("list[Any]", a), cast("list[Any]", b)
        return len(v) == len(w) and all(same(x, y) for x, y in zip(v, w, strict=True))
    return bool(a == b)
