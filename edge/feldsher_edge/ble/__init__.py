"""Bluetooth Low Energy: health profiles as pure functions of bytes, the pairing agent, and sessions that always end."""
