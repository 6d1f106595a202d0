"""Made-up releases of the kit's firmware, signed with a made-up key."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from feldsher_tools import kit_firmware

KEY = ec.derive_private_key(0xFE1D5BE2, ec.SECP256R1())
OTHER = ec.derive_private_key(0xBADBAD, ec.SECP256R1())
PUBLIC = kit_firmware.public_bytes(KEY.public_key())


def image(
    version: str, sequence: int, *, behaves: str = "", board: str = kit_firmware.BOARD, size: int = 9000
) -> bytes:
    """Return what an image looks like: its first byte, what it says of itself, the key, and contents."""
    mark = f"feldsher kit firmware {version} sequence {sequence} for {board}\n{behaves}"
    head = b"\xe9" + mark.encode() + PUBLIC
    return head + bytes(i * 7 & 255 for i in range(size - len(head)))


def release(version: str, sequence: int, **options: str | int) -> bytes:
    """Return a signed artefact."""
    return kit_firmware.pack(KEY, image(version, sequence, **options))  # type: ignore[arg-type]
