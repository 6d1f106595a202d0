"""The Record Access Control Point (0x2A52): asking glucose meters for stored records, from a sequence number on.

This makes reading idempotent and resumable: a gateway asks for what comes after the last record it has committed, as
often as it likes. Layout: Glucose Service 1.0, §3.5, and Continuous Glucose Monitoring Service 1.0, §3.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from feldsher_edge.ble.packet import Packet, unsigned


class Op(IntEnum):
    """What is asked, or answered."""

    REPORT = 0x01
    DELETE = 0x02
    ABORT = 0x03
    COUNT = 0x04
    NUMBER = 0x05
    RESPONSE = 0x06


class Operator(IntEnum):
    """Of which records."""

    NONE = 0x00
    ALL = 0x01
    AT_MOST = 0x02
    AT_LEAST = 0x03
    WITHIN = 0x04
    FIRST = 0x05
    LAST = 0x06


class Result(IntEnum):
    """What became of a request."""

    SUCCESS = 0x01
    OP_NOT_SUPPORTED = 0x02
    OPERATOR_INVALID = 0x03
    OPERATOR_NOT_SUPPORTED = 0x04
    OPERAND_INVALID = 0x05
    NO_RECORDS = 0x06
    ABORT_UNSUCCESSFUL = 0x07
    NOT_COMPLETED = 0x08
    OPERAND_NOT_SUPPORTED = 0x09


BY_NUMBER = 0x01
"""Filter type: sequence number (glucose) or time offset in minutes (continuous monitoring)."""

_BOUNDS = {Operator.AT_MOST: 1, Operator.AT_LEAST: 1, Operator.WITHIN: 2}


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `bounds` are the numbers that AT_MOST, AT_LEAST and WITHIN need, both ends included."""

    op: Literal[Op.REPORT, Op.DELETE, Op.ABORT, Op.COUNT]
    operator: Operator = Operator.NONE
    bounds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """How many records match."""

    records: int


@dataclass(frozen=True, slots=True)
class Response:
    """What became of the request `op`; `result` is a `Result` or a number reserved for the future."""

    op: int
    result: int


def after(last: int | None) -> Request:
    """Return the request for what comes after record `last`, or for all records."""
    return Request(Op.REPORT, Operator.ALL) if last is None else Request(Op.REPORT, Operator.AT_LEAST, (last + 1,))


def encode(it: Request | Count | Response) -> bytes:
    """Return the bytes of a request or an answer; ValueError where a number does not fit or is missing."""
    if isinstance(it, Count):
        return bytes([Op.NUMBER, Operator.NONE]) + unsigned(it.records, 2, "records")
    if isinstance(it, Response):
        return bytes([Op.RESPONSE, Operator.NONE]) + unsigned(it.op, 1, "op") + unsigned(it.result, 1, "result")
    if len(it.bounds) != _BOUNDS.get(it.operator, 0):
        raise ValueError(f"bounds: {len(it.bounds)} numbers for {it.operator.name}")
    operand = b"".join(unsigned(bound, 2, "bounds") for bound in it.bounds)
    return bytes([it.op, it.operator]) + (bytes([BY_NUMBER]) + operand if operand else b"")


def parse(data: bytes) -> Request | Count | Response:
    """Return what the bytes of 0x2A52 say; ValueError names the byte that is missing, unknown or too many."""
    packet = Packet(data)
    op = packet.unsigned(1, "op code")
    operator = packet.unsigned(1, "operator")
    if op == Op.NUMBER:
        it: Request | Count | Response = Count(packet.unsigned(2, "number of records"))
    elif op == Op.RESPONSE:
        it = Response(packet.unsigned(1, "request op code"), packet.unsigned(1, "result"))
    elif op in (Op.REPORT, Op.DELETE, Op.ABORT, Op.COUNT):
        it = Request(Op(op), _operator(operator), _bounds(packet, operator))  # pyright: ignore[reportArgumentType] - one of the four
    else:
        raise ValueError(f"byte 0: op code 0x{op:02x} is none that is known")
    packet.end("op code and operator")
    return it


def _operator(value: int) -> Operator:
    try:
        return Operator(value)
    except ValueError as error:
        raise ValueError(f"byte 1: operator 0x{value:02x} is none that is known") from error


def _bounds(packet: Packet, operator: int) -> tuple[int, ...]:
    wanted = _BOUNDS.get(_operator(operator), 0)
    if not wanted:
        return ()
    kind = packet.unsigned(1, "filter type")
    if kind != BY_NUMBER:
        raise ValueError(f"byte 2: filter type 0x{kind:02x} is not by number")
    return tuple(packet.unsigned(2, "bound") for _ in range(wanted))
