"""Battery Level (0x2A19) and Device Information (0x2A23 to 0x2A29, 0x2A50): bytes to values and back.

Layouts: Bluetooth GATT Specification Supplement, "Battery Level", "System ID", "PnP ID". Names are UTF-8 by the
standard; real devices pad them with zeros or spaces and send other encodings, so nothing in them is ever an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from feldsher_edge.ble.packet import Packet, unsigned

LONGEST = 128
"""Characters kept of a name: what is longer is nobody's model number."""


@dataclass(frozen=True, slots=True)
class SystemId:
    """Manufacturer's number of the device (40 bit) and the manufacturer (OUI, 24 bit)."""

    device: int
    maker: int

    def __str__(self) -> str:
        """Return it as the EUI-64 it is written as: maker first."""
        digits = f"{self.maker:06X}{self.device:010X}"
        return "-".join(digits[i : i + 2] for i in range(0, 16, 2))


@dataclass(frozen=True, slots=True)
class PnpId:
    """Vendor (`source` 1: Bluetooth SIG, 2: USB), product and version."""

    source: int
    vendor: int
    product: int
    version: int


def parse_battery(data: bytes) -> int:
    """Return the percent in the byte of 0x2A19; ValueError names the byte that is missing, wrong or too many."""
    packet = Packet(data)
    percent = packet.unsigned(1, "battery level")
    packet.end("a battery level's fields")
    if percent > 100:
        raise ValueError(f"byte 0: {percent} percent")
    return percent


def encode_battery(percent: int) -> bytes:
    """Return the byte of 0x2A19."""
    return unsigned(percent, 1, "percent")


def parse_text(data: bytes) -> str:
    """Return a name; what is not UTF-8 becomes U+FFFD, padding and control characters go."""
    text = data.decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:LONGEST]


def parse_system_id(data: bytes) -> SystemId:
    """Return the ids in the bytes of 0x2A23; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    it = SystemId(
        packet.unsigned(5, "manufacturer identifier"), packet.unsigned(3, "organizationally unique identifier")
    )
    packet.end("a system id's fields")
    return it


def encode_system_id(it: SystemId) -> bytes:
    """Return the eight bytes of 0x2A23."""
    return unsigned(it.device, 5, "device") + unsigned(it.maker, 3, "maker")


def parse_pnp_id(data: bytes) -> PnpId:
    """Return the ids in the bytes of 0x2A50; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    source = packet.unsigned(1, "vendor id source")
    it = PnpId(source, packet.unsigned(2, "vendor"), packet.unsigned(2, "product"), packet.unsigned(2, "version"))
    packet.end("a PnP id's fields")
    return it


def encode_pnp_id(it: PnpId) -> bytes:
    """Return the seven bytes of 0x2A50."""
    head = unsigned(it.source, 1, "source") + unsigned(it.vendor, 2, "vendor")
    return head + unsigned(it.product, 2, "product") + unsigned(it.version, 2, "version")
