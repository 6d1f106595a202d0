"""The air between virtual Bluetooth devices: bumble's controllers on one link, hosts and peripherals on top."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from bumble import hci
from bumble.att import ATT_DEFAULT_MTU
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData, BaseBumbleError, PhysicalTransport
from bumble.data_types import CompleteLocalName, Flags, IncompleteListOf16BitServiceUUIDs
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Service
from bumble.hci import Address
from bumble.keys import MemoryKeyStore
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import Transport

HOST_ADDRESS = "F0:F1:F2:F3:F4:FF"
_ADVERTISING_MS = 100


class Air(LocalLink):
    """A link that answers a connection under the address it was opened from.

    bumble 0.0.236 always names the sender's random address; a host that connects from its public one is not heard.
    """

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Deliver one packet to the controller that has `destination_address`."""
        if transport != PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        receiver = self.find_le_controller(destination_address)
        connection = sender_controller.le_connections.get(destination_address)
        source = connection.self_address if connection else sender_controller.random_address
        if receiver is not None:
            asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, source, transport, data)


async def host(air: Air, address: str = HOST_ADDRESS) -> Device:
    """Return a powered central: what a gateway's adapter is."""
    device = _device(air, "gateway", address)
    await device.power_on()
    return device


def controller(air: Air, name: str, line: Transport | None = None, address: str | None = None) -> Controller:
    """Return a controller in the air; `line`: the host's end, where the host is not in this process."""
    source, sink = (line.source, line.sink) if line is not None else (None, None)
    it = Controller(name, host_source=source, host_sink=sink, link=air, public_address=address)
    # With these the controller and a real host disagree about addresses (google/bumble #841).
    it.le_features &= ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)
    return it


def _device(air: Air, name: str, address: str) -> Device:
    chip = controller(air, name)
    config = DeviceConfiguration(
        name=name,
        address=Address(address),
        advertising_interval_min=_ADVERTISING_MS,
        advertising_interval_max=_ADVERTISING_MS,
    )
    device = Device.from_config_with_hci(config, chip, chip)
    # Without a store of its own a device forgets its bonds at every disconnection.
    device.keystore = MemoryKeyStore()
    delegate = PairingDelegate(PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT)

    def just_works(_connection: Connection) -> PairingConfig:
        return PairingConfig(sc=True, mitm=False, bonding=True, delegate=delegate)

    device.pairing_config_factory = just_works
    return device


class Peripheral:
    """A device that can be found, connected and bonded; what it offers is its subclass's matter.

    `breaks_off`: a fault; it hangs up as soon as somebody has connected, while its services are being discovered.
    `comes_back`: it lets itself be found again after every connection.
    """

    def __init__(self, air: Air, name: str, address: str, advertised: list[int]) -> None:
        self.device = _device(air, name, address)
        self.address = address
        self.breaks_off = False
        self.comes_back = False
        self.pairings = 0
        self.connections = 0
        self.connection: Connection | None = None
        self._advertised = advertised
        self._tasks: set[asyncio.Task[None]] = set()
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

    def offer(self, services: list[Service]) -> None:
        """Add GATT services; before `power_on`."""
        self.device.add_services(services)

    async def power_on(self) -> None:
        """Start the device; it is silent until `advertise`."""
        uuids = [UUID.from_16_bits(uuid) for uuid in self._advertised]
        kind = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        data = [Flags(kind), CompleteLocalName(self.device.name), IncompleteListOf16BitServiceUUIDs(uuids)]
        self.device.advertising_data = bytes(AdvertisingData(data))
        await self.device.power_on()

    async def advertise(self) -> None:
        """Let itself be found until someone connects."""
        if self.connection is None and not self.device.is_advertising:
            await self.device.start_advertising()

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Begin something that goes on by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def forget_bonds(self) -> None:
        """Lose every bond, as a device does whose battery was changed."""
        self.device.keystore = MemoryKeyStore()

    def limit_mtu(self) -> None:
        """Send packets of 23 bytes at most, as the first Bluetooth 4.0 chips do; before `power_on`."""
        self.device.gatt_server.max_mtu = ATT_DEFAULT_MTU

    async def hang_up(self) -> None:
        """Disconnect, where connected."""
        if self.connection is not None:
            with contextlib.suppress(BaseBumbleError, TimeoutError):
                await self.connection.disconnect()

    def connected(self, connection: Connection) -> None:
        """Act on a new connection."""

    def disconnected(self) -> None:
        """Act on the end of the connection."""

    def _on_connection(self, connection: Connection) -> None:
        self.connection = connection
        self.connections += 1

        def ended(_reason: int) -> None:
            self.connection = None
            self.disconnected()
            if self.comes_back:
                self.start(self.advertise())

        def paired(*_keys: object) -> None:
            self.pairings += 1

        connection.on(Connection.EVENT_DISCONNECTION, ended)
        connection.on(Connection.EVENT_PAIRING, paired)
        self.connected(connection)
        if self.breaks_off:
            self.start(self.hang_up())
