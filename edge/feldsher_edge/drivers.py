"""The drivers that a configuration names: a new kind of device is a table in the configuration and a function here."""

from __future__ import annotations

import random
from functools import partial

from feldsher_edge.ble.session import Radio
from feldsher_edge.ble.user_data import Consent
from feldsher_edge.clock import Clock
from feldsher_edge.config import Belt, BluetoothDevice, Config
from feldsher_edge.devices import Cardiograph, Cart, Cuff
from feldsher_edge.devices.belonging import Belonging, Meetings
from feldsher_edge.devices.bitalino import BitalinoCardiograph
from feldsher_edge.devices.bitalino_session import Wiring
from feldsher_edge.devices.ble_device import BleDevice, Which
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.openview import OpenViewCardiograph
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.devices.records import Marks
from feldsher_edge.dicom import DicomPort
from feldsher_edge.dropbox import Dropbox
from feldsher_edge.identity import ProvisionError, load_identity
from feldsher_edge.orders import Orders
from feldsher_edge.originals import Originals, Trust
from feldsher_edge.outbox import Outbox


def cardiographs(config: Config, clock: Clock, rng: random.Random) -> list[Cardiograph]:
    """Return the cardiographs of a configuration."""
    found: list[Cardiograph] = [KitCardiograph(it.device, it.port, clock, rng) for it in config.kit]
    found += [CytonCardiograph(it.device, it.port, clock, rng, it.channels, it.gain) for it in config.cyton]
    found += [
        OpenViewCardiograph(it.device, it.port, clock, rng, it.board, it.lead, it.uv_per_bit) for it in config.openview
    ]
    found += [
        BitalinoCardiograph(it.device, it.port, clock, rng, Wiring(it.channels, it.rate, it.gain))
        for it in config.bitalino
    ]
    return found


def cuffs(
    config: Config, clock: Clock, rng: random.Random, marks: Marks, meetings: Meetings | None = None
) -> list[Cuff]:
    """Return the Bluetooth health devices of a configuration; those of one adapter share its radio.

    `marks`: where it is kept up to which record glucose meters have been read; `meetings`: which pairings were met.
    """
    wanted = config.bluetooth()
    radios = {it.adapter: Radio(rng, adapter=it.adapter) for _, it in wanted}
    return [
        BleDevice(
            it.device,
            PROFILES[kind],
            clock,
            radios[it.adapter],
            config.zone(),
            rng,
            which=Which(it.address, it.name or "", _consent(it)),
            marks=marks,
            belonging=None if meetings is None else Belonging(it.since, config.zone(), meetings),
            clock_is_true=lambda: clock.quality() == "synced",
            ecg=isinstance(it, Belt) and it.ecg,
        )
        for kind, it in wanted
    ]


def carts(config: Config, originals: Originals, orders: Orders, clock: Clock, outbox: Outbox) -> list[Cart]:
    """Return what takes the recordings of closed cardiographs: watched folders, and the DICOM port."""
    zone, bounds = config.zone(), config.originals
    sealed_to = partial(certificate_for_originals, config)
    made: list[Cart] = [
        Dropbox(it, bounds, originals, Trust(zone, it.trust_days), clock, sealed_to) for it in config.folder
    ]
    if config.dicom is not None:
        trust, folder = Trust(zone, config.dicom.trust_days), config.state / "dicom"
        ask = partial(outbox.call, orders.open)
        made.append(DicomPort(config.dicom, bounds, originals, ask, trust, folder, sealed_to))
    return made


def certificate_for_originals(config: Config) -> str:
    """Return the certificate (PEM) that originals are sealed to: configured, or the claim's; empty: there is none."""
    try:
        if config.originals.certificate is not None:
            return config.originals.certificate.read_text(encoding="ascii")
        identity = load_identity(config.state)
    except (OSError, ValueError, ProvisionError):
        return ""
    return identity.place.originals if identity else ""


def _consent(it: BluetoothDevice) -> Consent | None:
    return None if it.user is None or it.consent is None else Consent(it.user, it.consent)
