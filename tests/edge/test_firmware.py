"""Firmware finds its kit by name, and every failure is said in words for the cloud."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.firmware import Kits
from feldsher_edge.update import Offer, UpdateError
from feldsher_signal import artefact

OFFER = Offer(b"", b"")
MANIFEST = artefact.Manifest("BOARD", "1.2.0", 7, 1, bytes(32)).pack()


@pytest.mark.parametrize(
    ("device", "image", "why"),
    [
        ("kit-9", b"", "no kit called 'kit-9'"),
        ("cyton", b"", "no kit called 'cyton'"),
        ("kit-1", b"nonsense", "no firmware of a kit"),
        ("kit-1", artefact.pack(bytes(64), MANIFEST, b"x"), "the device is not connected"),
    ],
)
async def test_what_cannot_be_updated_is_said(tmp_path: Path, device: str, image: bytes, why: str) -> None:
    rng, clock = random.Random(1), SystemClock()  # noqa: S311 - jitter
    port = str(tmp_path / "nowhere")
    kits = Kits([CytonCardiograph("cyton", port, clock, rng, ("II",), 12), KitCardiograph("kit-1", port, clock, rng)])
    with pytest.raises(UpdateError, match=why):
        await kits(device, OFFER, image)
