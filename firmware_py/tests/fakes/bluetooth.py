"""The `bluetooth` module: the radio of air.py."""

from air import BLE, UUID

__all__ = ["BLE", "UUID"]
