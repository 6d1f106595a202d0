"""The Bluetooth health profiles that a gateway reads, as a table: devices that only differ by service are data.

UUIDs are those of the Bluetooth SIG's assigned numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from feldsher_edge.ble import cgm
from feldsher_edge.devices import decode
from feldsher_edge.devices.decode import Decode

LINGER_S = 30.0
"""A device that neither sends nor hangs up for so long is disconnected."""
_SENSOR_LINGER_S = 900.0


@dataclass(frozen=True, slots=True)
class Channel:
    """A characteristic that is subscribed. `continuous`: about one value a second, for as long as it is worn."""

    decode: Decode
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """What one session subscribes, by UUID, and what it reads before, because later packets are placed by it."""

    channels: Mapping[int, Channel]
    before: Mapping[int, Callable[[bytes], None]] = field(default_factory=dict[int, Callable[[bytes], None]])


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of device. `services`: it advertises one of them; `listen` makes a session's decoders.

    `records`: it is asked for what it has stored; `stays`: then it goes on sending; `pair`: it may ask for a bond.
    """

    kind: str
    services: tuple[int, ...]
    listen: Callable[[], Listening]
    records: bool = False
    stays: bool = True
    pair: bool = True
    linger_s: float = LINGER_S


def _simple(channels: Mapping[int, Channel]) -> Callable[[], Listening]:
    return lambda: Listening(channels)


def _scale() -> Listening:
    return Listening({0x2A9D: Channel(decode.scale), 0x2A9C: Channel(decode.Body())})


def _meter() -> Listening:
    meter = decode.Meter()
    return Listening({0x2A18: Channel(meter.record), 0x2A34: Channel(meter.context)})


def _sensor() -> Listening:
    sensor = decode.Sensor()

    def started(data: bytes) -> None:
        sensor.start = cgm.parse_session_start(data)

    return Listening({0x2AA7: Channel(sensor)}, {0x2AAA: started})


CUFF = Profile("cuff", (0x1810,), _simple({0x2A35: Channel(decode.pressure)}))
THERMOMETER = Profile("thermometer", (0x1809,), _simple({0x2A1C: Channel(decode.temperature)}))
OXIMETER = Profile(
    "oximeter",
    (0x1822,),
    _simple({0x2A5E: Channel(decode.spot_check), 0x2A5F: Channel(decode.saturation, continuous=True)}),
)
SCALE = Profile("scale", (0x181D, 0x181B), _scale)
GLUCOMETER = Profile("glucometer", (0x1808,), _meter, records=True, stays=False)
GLUCOSE_SENSOR = Profile("glucose_sensor", (0x181F,), _sensor, records=True, linger_s=_SENSOR_LINGER_S)
BELT = Profile("belt", (0x180D,), _simple({0x2A37: Channel(decode.rate, continuous=True)}), pair=False)

PROFILES = {it.kind: it for it in (CUFF, THERMOMETER, OXIMETER, SCALE, GLUCOMETER, GLUCOSE_SENSOR, BELT)}
