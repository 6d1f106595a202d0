"""The wiring of one gateway: devices, outbox, publisher, interpreter and orders as tasks of one event loop.

The gateway does not know whether a device is real. A driver that fails is started again; it takes nothing else along.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Any

import structlog
from feldsher_ehr_core import wire

from feldsher_edge.clock import ClockWatch, env_base_us
from feldsher_edge.commands import Commands
from feldsher_edge.config import Config
from feldsher_edge.devices import Cardiograph, Cuff, DeviceError
from feldsher_edge.drivers import carts
from feldsher_edge.interpreter import Interpreter
from feldsher_edge.link import Broker
from feldsher_edge.orders import Order, Orders
from feldsher_edge.originals import Originals
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import Publisher
from feldsher_edge.recordings import Recordings
from feldsher_edge.renewal import Renewal
from feldsher_edge.sink import GatewaySink, Sources
from feldsher_edge.store import StoreError
from feldsher_edge.strip import Strip
from feldsher_edge.watchdog import Notifier, Pulses, watchdog

_log = structlog.get_logger("gateway")
SOFTWARE = f"feldsher-edge {version('feldsher')}"
_TICK_S = 1.0
_FULL_PAUSE_S = 2.0
_RETRY_ORDER_S = 1.0
_BEAT_S = 30.0


class Gateway:
    """One gateway. `drivers` in `cardiographs` and `cuffs`; `rng` for jitter only."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        broker: Broker,
        cardiographs: Sequence[Cardiograph],
        cuffs: Sequence[Cuff],
        rng: random.Random,
    ) -> None:
        clock = outbox.envelopes.clock
        self.config = config
        self.outbox = outbox
        self.cardiographs = cardiographs
        self.cuffs = cuffs
        self.sources = Sources(clock.mono_ns)
        self.pulses = Pulses(clock.mono_ns)
        closed = [it.device for it in (*config.folder, *config.carts())]
        self.orders = Orders(outbox, [c.device for c in cardiographs], config.orders.lapse_s, closed)
        self.interpreter = Interpreter(config.interpreter.timeout_s) if config.interpreter.enabled else None
        self.recordings = Recordings(outbox, self.orders, self.interpreter)
        originals = Originals(outbox, self.orders, self.recordings)
        self.carts = carts(config, originals, self.orders, clock, outbox)
        self.starts = count_start(outbox)
        self.commands = Commands(outbox, self.orders)
        self.publisher = Publisher(outbox, broker, config.mqtt, self._birth, self.commands, rng, self.pulses)
        self.strip = Strip(self.publisher.show)
        self.sink = GatewaySink(outbox, self.sources, config.zone(), self.recordings.keep, self.strip.show)
        self.renewal: Renewal | None = None
        self._armed = {c.device: asyncio.Event() for c in cardiographs}

    async def run(self) -> None:
        """Run until cancelled. What fails beyond repair (a damaged database) ends the gateway with its error."""
        loop = asyncio.get_running_loop()
        self.orders.on_armed(lambda: _in_loop(loop, self._set_armed))
        held = await self.outbox.call(self.outbox.held)
        recorded = {h.message.order for h in held if isinstance(h.message, wire.EcgRecording) and h.message.order}
        await self.outbox.call(self.orders.recover, recorded)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publisher.run())
            if self.interpreter is not None:
                tasks.create_task(self.interpreter.run())
            tasks.create_task(self.recordings.resume())
            for driver in (*self.cardiographs, *self.cuffs, *self.carts):
                tasks.create_task(self._keep_running(driver.device, lambda d=driver: d.run(self.sink)))
            for cardiograph in self.cardiographs:
                tasks.create_task(_despite_the_disk(lambda c=cardiograph: self._take_orders(c)))
            tasks.create_task(_despite_the_disk(self._beat))
            tasks.create_task(_despite_the_disk(self._watch_clock))
            tasks.create_task(watchdog(self.pulses, Notifier()))

    def names(self) -> list[str]:
        """Return the configured devices by the names of their signs of life: a Bluetooth device's is its address."""
        addresses = {it.device: it.address.upper() for _, it in self.config.bluetooth() if it.address}
        return [addresses.get(it.device, it.device) for it in (*self.cardiographs, *self.cuffs)]

    def unseen(self) -> tuple[str, ...]:
        """Return the configured devices that have given no sign of life since the start."""
        ages = self.sources.ages_s()
        return tuple(name for name in self.names() if name not in ages)

    def _birth(self, env: wire.Envelope) -> wire.Birth:
        devices = [d.device for d in (*self.cardiographs, *self.cuffs)] + [d for it in self.carts for d in it.devices]
        return wire.Birth(env=env, software=SOFTWARE, starts=self.starts, devices=tuple(devices))

    def _set_armed(self) -> None:
        for event in self._armed.values():
            event.set()

    async def _keep_running(self, device: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a driver again whenever it ends, ever later up to a minute while it keeps failing."""
        delay_s = 1.0
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            try:
                await start()
                _log.warning("driver ended", device=device)
            except Exception:
                _log.exception("driver failed", device=device)
            delay_s = 1.0 if loop.time() - since > 60 else min(60.0, delay_s * 2)
            await asyncio.sleep(delay_s)

    async def _take_orders(self, cardiograph: Cardiograph) -> None:
        armed = self._armed[cardiograph.device]
        while True:
            self.pulses.beat(f"orders of {cardiograph.device}", _BEAT_S)
            armed.clear()
            order = await self.outbox.call(self.orders.next, cardiograph.device)
            if order is not None and await self._take(cardiograph, order):
                continue
            try:
                async with asyncio.timeout(_TICK_S if order is None else _RETRY_ORDER_S):
                    await armed.wait()
            except TimeoutError:
                continue

    async def _take(self, cardiograph: Cardiograph, order: Order) -> bool:
        """Record for an order; False where the device could not start, so that it is tried again until it lapses."""
        self.pulses.beat(f"orders of {cardiograph.device}", order.seconds * 2 + _BEAT_S)
        await self.outbox.call(self.orders.started, order.id)
        try:
            with self.strip.of(cardiograph.device, order.id):
                result = await cardiograph.record(order.seconds)
        except DeviceError as error:
            _log.warning("cardiograph cannot record", device=cardiograph.device, error=str(error))
            await self.outbox.call(self.orders.rearm, order.id, str(error))
            return False
        except Exception as error:
            _log.exception("driver failed while recording", device=cardiograph.device)
            await self.outbox.call(self.orders.rearm, order.id, f"driver failed: {type(error).__name__}")
            return False
        self.sources.brought(cardiograph.device, 1)
        await self.recordings.take(result, order)
        return True

    async def _beat(self) -> None:
        while True:
            self.pulses.beat("heartbeat", self.config.mqtt.heartbeat_s + _BEAT_S)
            await asyncio.sleep(self.config.mqtt.heartbeat_s)
            counts = await self.outbox.call(self.outbox.counts)
            await self.publisher.present(
                lambda env, counts=counts: wire.Heartbeat(
                    env=env,
                    outbox_rows=sum(counts.waiting),
                    outbox_bytes=counts.waiting_bytes,
                    oldest_us=counts.oldest_us,
                    sources=self.sources.ages_s(),
                    unseen=self.unseen(),
                )
            )

    async def _watch_clock(self) -> None:
        fact = await self.outbox.call(self.outbox.fact, "clock")
        watch = ClockWatch(self.outbox.envelopes.clock, fact)
        while True:
            self.pulses.beat("clock", _BEAT_S)
            change = watch.look()
            if change is not None:
                _log.warning("the wall clock was set, or is right now")
            if change is not None or fact is None:
                fact = watch.state()
                await self.outbox.call(self._report_clock, change, fact)
            await asyncio.sleep(_TICK_S)

    def _report_clock(self, change: Callable[[wire.Envelope], wire.ClockOffset] | None, fact: bytes) -> None:
        with self.outbox.store.transaction():  # the change is never noted without being told
            self.outbox.set_fact("clock", fact)
            if change is not None:
                self.outbox.put(change)

    async def tell_clock(self, behind_us: int) -> None:
        """Put on record that the wall clock is behind the time that the cloud has signed, unless it is being set."""
        if self.outbox.envelopes.clock.quality() != "synced":
            await self.outbox.call(self.outbox.put, lambda env: _signed_offset(env, behind_us))


def _signed_offset(env: wire.Envelope, behind_us: int) -> wire.ClockOffset:
    base_us = env_base_us(env) + behind_us
    return wire.ClockOffset(env=env, offset_us=behind_us, source="signed by the cloud", base_us=base_us)


def _in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
        loop.call_soon_threadsafe(function)


async def _despite_the_disk(work: Callable[[], Awaitable[None]]) -> None:
    """Run endless work again after what could not be stored: a full or failing disk must not end the gateway."""
    while True:
        try:
            await work()
        except StoreError as error:
            _log.error("not stored", error=str(error))
            await asyncio.sleep(_FULL_PAUSE_S)


def count_start(outbox: Outbox) -> int:
    """Return how often this gateway's daemon has started, this time included."""
    with outbox.store.transaction():
        starts = int(outbox.fact("starts") or b"0") + 1
        outbox.set_fact("starts", str(starts).encode())
    return starts
