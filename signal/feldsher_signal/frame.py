"""The bytes of the ECG kit on its serial line, protocol version 1 (docs/kit-protocol.md holds the tables).

    AA 55 | type u8 | seq u8 | length u8 | payload | CRC-16 u16

CRC-16/CCITT-FALSE (polynomial 0x1021, initial 0xFFFF, not reflected) over type … payload; every number big-endian.
The 8-bit `seq` pairs an answer with its command and is too short to count long losses, so each DATA payload starts
with a 32-bit counter of samples since START: 38 bytes a frame, 19 kB/s at 500 samples per second.

This file also runs on the kit: it keeps to what CPython and MicroPython share (no typing, no dataclasses, no signed
`int.from_bytes`), and tests/signal/test_frame.py runs it under both.
"""

import binascii
import struct

VERSION = 1
SOF = b"\xaa\x55"
MAX_PAYLOAD = 64
MAX_FRAME = 7 + MAX_PAYLOAD

CMD_START = 0x01
CMD_STOP = 0x02
CMD_ID = 0x03
CMD_CONFIG = 0x04
CMD_LEAD_OFF = 0x05
CMD_HEALTH = 0x06
CMD_PROVISION = 0x07
CMD_WIPE = 0x08
CMD_UPDATE_BEGIN = 0x10
CMD_UPDATE_DATA = 0x11
CMD_UPDATE_END = 0x12
CMD_UPDATE_CONFIRM = 0x13
CMD_RESTART = 0x14
EV_ACK = 0x81
EV_ID = 0x83
EV_STATUS = 0x85
EV_HEALTH = 0x86
EV_DATA = 0x90

RESULT_OK = 0
RESULT_BUSY = 1
RESULT_BAD_PAYLOAD = 2
RESULT_UNKNOWN = 3
RESULT_FAULT = 4
RESULT_WAIT = 5
RESULT_SIGNATURE = 6
RESULT_NOT_FOR_THIS = 7
RESULT_ROLLBACK = 8
RESULT_MALFORMED = 9
RESULT_DAMAGED = 10
RESULT_ORDER = 11
RESULT_REFUSED = 12

STATE_IDLE = 0
STATE_SAMPLING = 1
STATE_FAULT = 2

UPDATE_NONE = 0
UPDATE_RECEIVING = 1
UPDATE_READY = 2
UPDATE_ON_TRIAL = 3
UPDATE_ROLLED_BACK = 4
UPDATE_PIECE = MAX_PAYLOAD - 4

CONFIG_LEAD_OFF = 0x01
CONFIG_TEST_SIGNAL = 0x02
BATTERY_UNKNOWN = 255

CHANNELS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
ELECTRODES = ("RA", "LA", "LL", "RL", "V1", "V2", "V3", "V4", "V5", "V6")
GAINS = (1, 2, 3, 4, 6, 8, 12)
# ADS1298 data sheet (TI SBAS459), 9.5.1: full scale VREF / gain is the code 2^23 - 1.
FULL_SCALE = 8388607

_DATA = 31
# The least payload of each type. Later versions may append fields, which a reader of this version ignores.
_LEAST = {
    CMD_START: 4,
    CMD_CONFIG: 4,
    CMD_UPDATE_BEGIN: 4,
    CMD_UPDATE_DATA: 5,
    EV_ACK: 10,
    EV_ID: 9,
    EV_STATUS: 14,
    EV_HEALTH: 28,
    EV_DATA: _DATA,
}
_NIBBLE = (
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
    0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF,
)  # fmt: skip
# CPython has this very CRC in C; MicroPython has not.
_crc_hqx = getattr(binascii, "crc_hqx", None)


class FrameError(ValueError):
    """A payload that is not what its type says; the text names the field."""


def crc16_table(data: bytes) -> int:
    """Return CRC-16/CCITT-FALSE of bytes, half a byte at a time: the kit's way, and the oracle of the other."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc << 4 & 0xFFFF) ^ _NIBBLE[crc >> 12 ^ byte >> 4]
        crc = (crc << 4 & 0xFFFF) ^ _NIBBLE[crc >> 12 ^ byte & 15]
    return crc


def crc16(data: bytes) -> int:
    """Return CRC-16/CCITT-FALSE of bytes."""
    return int(_crc_hqx(data, 0xFFFF)) if _crc_hqx else crc16_table(data)


def frame(kind: int, seq: int, payload: bytes = b"") -> bytes:
    """Return one frame; FrameError where the payload is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise FrameError("payload: " + str(len(payload)) + " bytes, at most " + str(MAX_PAYLOAD))
    body = bytes((kind, seq & 255, len(payload))) + payload
    return SOF + body + struct.pack(">H", crc16(body))


class Parser:
    """Finds frames in a stream of bytes, from whatever position, however it is cut.

    `bad_crc`: starts of frame whose CRC was wrong; `skipped`: bytes that belonged to no frame. Between calls it holds
    less than one frame (MAX_FRAME bytes).
    """

    def __init__(self) -> None:
        self.bad_crc = 0
        self.skipped = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Take bytes as they came; return the frames that they complete as (type, seq, payload)."""
        self._buffer.extend(data)
        return self._scan(False)

    def idle(self) -> list[tuple[int, int, bytes]]:
        """Say that the line has fallen silent: what is unfinished never will be; return frames hidden behind it.

        Noise that looks like the start of a frame would otherwise hold back the answer that follows it.
        """
        return self._scan(True)

    def _scan(self, final: bool) -> list[tuple[int, int, bytes]]:
        found: list[tuple[int, int, bytes]] = []
        buffer = self._buffer
        at = 0
        while True:
            start = buffer.find(SOF, at)
            if start < 0:
                # The last byte may be the first half of a start of frame.
                keep = 1 if not final and len(buffer) > at and buffer[-1] == SOF[0] else 0
                self.skipped += len(buffer) - keep - at
                self._buffer = buffer[len(buffer) - keep :]
                return found
            self.skipped += start - at
            size = _size(buffer, start)
            if size > 0 and len(buffer) - start >= size:
                body = bytes(buffer[start + 2 : start + size - 2])
                if crc16(body) == buffer[start + size - 2] << 8 | buffer[start + size - 1]:
                    found.append((body[0], body[1], body[3:]))
                    at = start + size
                    continue
                self.bad_crc += 1
            elif size >= 0 and not final:
                self._buffer = buffer[start:]
                return found
            self.skipped += 1
            at = start + 1


def _size(buffer: bytearray, start: int) -> int:
    """Return the bytes of the frame that starts here, 0 where its length has not come yet, -1 where it is none."""
    if len(buffer) - start < 5:
        return 0
    kind = buffer[start + 2]
    length = buffer[start + 4]
    if length > MAX_PAYLOAD or length < _LEAST.get(kind, 0):
        return -1
    return 7 + length


def pack_start(frames: int = 0) -> bytes:
    """Return the payload of CMD_START: how many samples to take, 0 for until CMD_STOP."""
    return struct.pack(">I", frames)


def parse_start(payload: bytes) -> int:
    """Return how many samples CMD_START asks for, 0 for until CMD_STOP."""
    _need("START", payload, 4)
    return int(struct.unpack(">I", payload[:4])[0])


class Config:
    """CMD_CONFIG: `rate` in samples per second, `gain` of the amplifier, `flags` CONFIG_*."""

    def __init__(self, rate: int = 500, gain: int = 6, flags: int = CONFIG_LEAD_OFF) -> None:
        self.rate = rate
        self.gain = gain
        self.flags = flags

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack(">HBB", self.rate, self.gain, self.flags)


def parse_config(payload: bytes) -> Config:
    """Return the configuration that CMD_CONFIG asks for; FrameError where the amplifier has no such gain."""
    _need("CONFIG", payload, 4)
    rate, gain, flags = struct.unpack(">HBB", payload[:4])
    if gain not in GAINS:
        raise FrameError("CONFIG gain: " + str(gain))
    if not rate:
        raise FrameError("CONFIG rate: 0")
    return Config(rate, gain, flags)


class Ack:
    """EV_ACK: the command it answers, RESULT_*, and since START the samples sent and the samples lost in the kit."""

    def __init__(self, command: int, result: int = RESULT_OK, sent: int = 0, lost: int = 0) -> None:
        self.command = command
        self.result = result
        self.sent = sent
        self.lost = lost

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack(">BBII", self.command, self.result, self.sent, self.lost)


def parse_ack(payload: bytes) -> Ack:
    """Return the acknowledgement in a payload."""
    _need("ACK", payload, 10)
    command, result, sent, lost = struct.unpack(">BBII", payload[:10])
    return Ack(command, result, sent, lost)


class Identity:
    """EV_ID: what the kit is: protocol version, rate, gain, reference voltage in µV, serial number, firmware."""

    def __init__(
        self,
        serial: str,
        firmware: str,
        rate: int = 500,
        gain: int = 6,
        vref_uv: int = 2400000,
        version: int = VERSION,
        channels: int = 8,
    ) -> None:
        self.serial = serial
        self.firmware = firmware
        self.rate = rate
        self.gain = gain
        self.vref_uv = vref_uv
        self.version = version
        self.channels = channels

    def uv_per_bit(self) -> float:
        """Return the microvolts of one unit of a channel."""
        return self.vref_uv / (self.gain * FULL_SCALE)

    def pack(self) -> bytes:
        """Return the payload."""
        head = struct.pack(">BBHBI", self.version, self.channels, self.rate, self.gain, self.vref_uv)
        return head + (self.serial + ";" + self.firmware).encode()


def parse_identity(payload: bytes) -> Identity:
    """Return what the kit says that it is; FrameError where its gain or rate is 0 or its text is not ASCII."""
    _need("ID", payload, 9)
    version, channels, rate, gain, vref_uv = struct.unpack(">BBHBI", payload[:9])
    if not (gain and rate and vref_uv):
        raise FrameError("ID gain, rate or reference: 0")
    for byte in payload[9:]:
        if byte < 32 or byte > 126:
            raise FrameError("ID text: byte " + str(byte) + " is not printable ASCII")
    serial, _, firmware = payload[9:].decode().partition(";")
    return Identity(serial, firmware, rate, gain, vref_uv, version, channels)


class Status:
    """EV_STATUS: STATE_*, electrodes off (bits as ELECTRODES), battery in %, counts since START, bad CRCs heard."""

    def __init__(
        self,
        state: int = STATE_IDLE,
        off: int = 0,
        battery: int = BATTERY_UNKNOWN,
        sent: int = 0,
        lost: int = 0,
        bad_crc: int = 0,
    ) -> None:
        self.state = state
        self.off = off
        self.battery = battery
        self.sent = sent
        self.lost = lost
        self.bad_crc = bad_crc

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack(">BHBIIH", self.state, self.off, self.battery, self.sent, self.lost, self.bad_crc & 0xFFFF)


def parse_status(payload: bytes) -> Status:
    """Return the state of the kit."""
    _need("STATUS", payload, 14)
    state, off, battery, sent, lost, bad_crc = struct.unpack(">BHBIIH", payload[:14])
    return Status(state, off, battery, sent, lost, bad_crc)


def pack_piece(offset: int, piece: bytes) -> bytes:
    """Return the payload of CMD_UPDATE_DATA: where the piece belongs, and its 1 to UPDATE_PIECE bytes."""
    if not 1 <= len(piece) <= UPDATE_PIECE:
        raise FrameError("UPDATE_DATA: " + str(len(piece)) + " bytes, not 1 to " + str(UPDATE_PIECE))
    return struct.pack(">I", offset) + piece


def parse_piece(payload: bytes) -> tuple[int, bytes]:
    """Return where a piece of an update belongs, and its bytes."""
    _need("UPDATE_DATA", payload, 5)
    return int(struct.unpack(">I", payload[:4])[0]), payload[4:]


def pack_update(length: int) -> bytes:
    """Return the payload of CMD_UPDATE_BEGIN: the bytes of the whole artefact."""
    return struct.pack(">I", length)


def parse_update(payload: bytes) -> int:
    """Return the bytes of the whole artefact that CMD_UPDATE_BEGIN announces."""
    _need("UPDATE_BEGIN", payload, 4)
    return int(struct.unpack(">I", payload[:4])[0])


class Health:
    """EV_HEALTH: what a technician and the integrity report ask of the kit itself.

    `uptime_s`; `boots` since it was made; `reset`: machine.reset_cause(); `update`: UPDATE_*; `sequence` of the running
    firmware; `torn`: conversions read too late; `faults`: times the amplifier did not answer as set; `late`: tasks
    (bits) that the watchdog missed before the last restart; `ring_high`: most samples that ever waited; `heap_free` in
    bytes; `failed`: sequence of the last update that fell back, 0 for none.
    """

    def __init__(
        self,
        uptime_s: int = 0,
        boots: int = 0,
        reset: int = 0,
        update: int = UPDATE_NONE,
        sequence: int = 0,
        torn: int = 0,
        faults: int = 0,
        late: int = 0,
        ring_high: int = 0,
        heap_free: int = 0,
        failed: int = 0,
    ) -> None:
        self.uptime_s = uptime_s
        self.boots = boots
        self.reset = reset
        self.update = update
        self.sequence = sequence
        self.torn = torn
        self.faults = faults
        self.late = late
        self.ring_high = ring_high
        self.heap_free = heap_free
        self.failed = failed

    def pack(self) -> bytes:
        """Return the payload."""
        head = struct.pack(">IHBBI", self.uptime_s, self.boots & 0xFFFF, self.reset, self.update, self.sequence)
        counts = struct.pack(">HHHH", *[min(n, 0xFFFF) for n in (self.torn, self.faults, self.late, self.ring_high)])
        return head + counts + struct.pack(">II", self.heap_free, self.failed)


def parse_health(payload: bytes) -> Health:
    """Return the health of the kit."""
    _need("HEALTH", payload, 28)
    return Health(*struct.unpack(">IHBBIHHHHII", payload[:28]))


def pack_data(counter: int, afe: bytes) -> bytes:
    """Return the payload of EV_DATA: the number of the sample since START and the 27 bytes of the ADS1298."""
    if len(afe) != _DATA - 4:
        raise FrameError("DATA: " + str(len(afe)) + " bytes of the amplifier, not 27")
    return struct.pack(">I", counter & 0xFFFFFFFF) + afe


def pack_afe(off: int, channels: tuple[int, ...] | list[int]) -> bytes:
    """Return the 27 bytes that an ADS1298 gives for electrodes off (bits as ELECTRODES) and 8 channels (24-bit)."""
    out = bytearray(27)
    positive = off >> 1 & 1 | (off >> 2 & 1) << 1 | (off >> 4 & 0x3F) << 2
    negative = 3 if off & 1 else 0
    status = 0xC00000 | positive << 12 | negative << 4 | off >> 3 & 1
    out[0:3] = bytes((status >> 16, status >> 8 & 255, status & 255))
    for index in range(8):
        value = channels[index]
        if not -FULL_SCALE - 1 <= value <= FULL_SCALE:
            raise FrameError("DATA " + CHANNELS[index] + ": " + str(value) + " does not fit 24 bits")
        at = 3 + 3 * index
        out[at : at + 3] = bytes((value >> 16 & 255, value >> 8 & 255, value & 255))
    return bytes(out)


def parse_data(payload: bytes) -> tuple[int, int, tuple[int, ...]]:
    """Return the sample's counter, the electrodes off (bits as ELECTRODES) and the 8 channels of CHANNELS.

    The amplifier's status word is 1100, LOFF_STATP, LOFF_STATN, GPIO (TI SBAS459, 9.5.2); channel 1 is LA - RA,
    channel 2 LL - RA, the others V1 … V6 against Wilson's terminal; the kit reports RL on GPIO1.
    """
    _need("DATA", payload, _DATA)
    counter, high, low = struct.unpack(">IHB", payload[:7])
    status = high << 8 | low
    if status >> 20 != 12:
        raise FrameError("DATA status: " + hex(status) + " does not start with 1100")
    off = electrodes_off(status >> 12 & 255, status >> 4 & 255, status & 1)
    values: list[int] = []
    for at in range(7, _DATA, 3):
        value = payload[at] << 16 | payload[at + 1] << 8 | payload[at + 2]
        values.append(value - 0x1000000 if value & 0x800000 else value)
    return counter, off, tuple(values)


def electrodes_off(positive: int, negative: int, right_leg: int) -> int:
    """Return the electrodes off (bits as ELECTRODES) by LOFF_STATP, LOFF_STATN and what is known of RL (0 or 1)."""
    return (1 if negative & 3 else 0) | (positive & 3) << 1 | right_leg << 3 | (positive >> 2) << 4


def leads_off(off: int) -> tuple[str, ...]:
    """Return the leads (of all twelve) that cannot be measured while these electrodes (bits as ELECTRODES) are off."""
    if off & 0b1000:
        # Without RL there is no common-mode feedback: nothing can be trusted.
        off = 0x3FF
    # A limb lead needs its two limbs, an augmented one all three, a chest lead these and its own electrode: Wilson's
    # terminal is the mean of the limbs.
    needs = (0b0011, 0b0101, 0b0110, 0b0111, 0b0111, 0b0111)
    limb = [LIMB_LEADS[index] for index in range(6) if off & needs[index]]
    chest = [CHANNELS[2 + index] for index in range(6) if off & (0b0111 | 1 << 4 + index)]
    return tuple(limb + chest)


def _need(name: str, payload: bytes, size: int) -> None:
    if len(payload) < size:
        raise FrameError(name + ": " + str(len(payload)) + " bytes, at least " + str(size))
