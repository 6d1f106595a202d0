"""Asking a running gateway over its local socket: for the command line, and for its web page."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from feldsher_edge.local.words import Fault, LiveStrip, Piece, Question
from feldsher_edge.status import short_path

SOCKET = "local.sock"
_LARGEST = 16_000_000
_T = TypeVar("_T")


class LocalError(Exception):
    """The gateway does not run, or cannot do what was asked; the text says what the technician can do."""


def ask(state: Path, question: Question, kind: type[_T], timeout_s: float = 30.0) -> _T:
    """Return the answer of the gateway that runs on a state directory; LocalError says why there is none."""
    answer = bytearray()
    try:
        with short_path(state, SOCKET) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            while part := connection.recv(65_536):
                answer += part
    except OSError as error:
        raise away(state, error) from error
    return understood(bytes(answer), kind)


async def ask_soon(state: Path, question: Question, kind: type[_T], timeout_s: float = 30.0) -> _T:
    """Return the answer, without stopping the event loop."""
    try:
        async with asyncio.timeout(timeout_s), _connected(state, question) as reader:
            return understood(await reader.read(_LARGEST), kind)
    except (OSError, TimeoutError) as error:
        raise away(state, error) from error


async def live(state: Path) -> AsyncGenerator[Piece]:
    """Yield the pieces of every recording that runs, until the gateway ends."""
    try:
        async with _connected(state, LiveStrip()) as reader:
            while line := await reader.readline():
                yield understood(line, Piece)
    except OSError as error:
        raise away(state, error) from error


@asynccontextmanager
async def _connected(state: Path, question: Question) -> AsyncGenerator[asyncio.StreamReader]:
    with short_path(state, SOCKET) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LARGEST)
    try:
        writer.write(msgspec.json.encode(question) + b"\n")
        await writer.drain()
        yield reader
    finally:
        writer.close()


def understood(answer: bytes, kind: type[_T]) -> _T:
    """Return an answer; LocalError where it is a fault or cannot be read."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        try:
            raise LocalError(msgspec.json.decode(answer, type=Fault).error) from None
        except msgspec.DecodeError:
            raise LocalError(f"the gateway's answer cannot be read: {error}") from error


def away(state: Path, error: BaseException) -> LocalError:
    """Return what a technician is told where no gateway answers."""
    if isinstance(error, PermissionError):
        return LocalError(f"{state} belongs to another user; use sudo")
    return LocalError(f"no gateway answers in {state} ({error}); is it running? (systemctl status feldsher-edge)")
