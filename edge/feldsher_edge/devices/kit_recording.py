"""What a kit measures, and its DATA frames as samples of a recording."""

from __future__ import annotations

from feldsher_signal import frame

from feldsher_edge.devices.leads import twelve
from feldsher_edge.devices.track import Signals, Track


def signals(identity: frame.Identity) -> Signals:
    """Return what a kit measures that identifies itself so; its own counter never starts over."""
    return Signals(twelve(identity.uv_per_bit()), float(identity.rate), leads_off=frame.leads_off)


def put(track: Track, payload: bytes) -> None:
    """Take one DATA payload; frame.FrameError where it is none."""
    counter, off, channels = frame.parse_data(payload)
    track.put(counter, channels, off)
