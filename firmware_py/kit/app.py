"""The running kit: one task for each line, for the samples, for the electrodes, for updates and for the upkeep."""

import asyncio
import time

import machine
import release

from kit.battery import Battery
from kit.bonds import Bonds
from kit.button import LONG, SHORT, Button
from kit.config import Store
from kit.hardware import Hardware
from kit.kit import Kit
from kit.leads import Leads
from kit.port import Port
from kit.radio import Radio
from kit.sampler import Sampler
from kit.update import TRIAL_MS, Update
from kit.watchdog import Watchdog

BUTTON_SAMPLES = 5000
"""Ten seconds at 500 per second."""
GONE_MS = 2000
"""A line that takes nothing for so long has nobody at its other end."""
BURST = 64
LIMIT_MS = 4000
"""A task that is not heard of for so long hangs; the hardware watchdog bites 8 s after the last feeding."""
LOOK_MS = 400
UPKEEP_MS = 1000


class App:
    """Everything on its board."""

    def __init__(self, hardware: Hardware) -> None:
        self.dog = Watchdog(hardware.dog, hardware.memory)
        store = Store(hardware.settings)
        store.config.boots += 1
        update = Update(store, release.KEY, release.BOARD, release.SEQUENCE)
        store.save()
        sampler = Sampler(hardware.afe, hardware.pulses)
        self.leads = Leads(hardware.afe)
        self.kit = Kit(hardware.afe, sampler, self.leads, store, update, self.dog, Battery(hardware.battery))
        self._button = Button(hardware.button)
        self.line = Port(hardware.line)
        self._last = self.line
        self.radio: Radio | None = None
        self._ports = [self.line]
        if store.config.bluetooth:
            serial = store.config.serial
            name = "feldsher kit" + (" " + serial[-6:] if serial else "")
            self.radio = Radio(hardware.ble, Bonds(hardware.nvs), name, serial, release.VERSION)
            self._ports.append(Port(self.radio))
        hardware.drdy.irq(sampler.drdy, machine.Pin.IRQ_FALLING)
        self._born_ms = time.ticks_ms()
        self.kit.power_up()

    async def run(self) -> None:
        """Run until restarted."""
        await asyncio.gather(
            self._stream(), self._look(), self._work(), self._upkeep(), *[self._serve(port) for port in self._ports]
        )

    async def _serve(self, port: Port) -> None:
        """Answer what comes on a line."""
        task = self.dog.add(LIMIT_MS)
        while True:
            task.beat()
            frames = port.receive()
            for kind, seq, payload in frames:
                self._last = port
                port.post(self.kit.answer(port, kind, seq, payload))
            port.flush()
            if self.kit.restart:
                await asyncio.sleep_ms(100)  # for the answer to leave
                machine.reset()
            # While frames come, soon again: an update is thousands of them.
            await asyncio.sleep_ms(1 if frames else 10)

    async def _stream(self) -> None:
        """Send the samples that wait, end the recording that is complete, or whose listener is gone."""
        task = self.dog.add(LIMIT_MS)
        kit = self.kit
        while True:
            task.beat()
            port = kit.recording
            if port is not None:
                if not port.link.present() or port.stuck_ms() > GONE_MS:
                    kit.finish()
                    port.forget()
                else:
                    self._drain(port)
            await asyncio.sleep_ms(10)

    def _drain(self, port: Port) -> None:
        sampler = self.kit.sampler
        for _ in range(BURST):
            data = sampler.next_frame()
            if data is None:
                if not sampler.running and port.flush():
                    port.post(self.kit.finish())
                return
            if not port.send(data):
                return
            sampler.ring.release()
            self.kit.sent += 1

    async def _look(self) -> None:
        """See which electrodes touch, while nothing is recorded."""
        task = self.dog.add(LIMIT_MS)
        while True:
            task.beat()
            if self.kit.recording is None:
                await self.leads.look()
            await asyncio.sleep_ms(LOOK_MS)

    async def _work(self) -> None:
        """Do what updates have to do, a piece at a time."""
        task = self.dog.add(LIMIT_MS)
        while True:
            task.beat()
            await asyncio.sleep_ms(0 if self.kit.update.step() else 50)

    async def _upkeep(self) -> None:
        """Feed the watchdog, watch the button, the battery and the trial of a new firmware."""
        ticked_ms = time.ticks_ms()
        while True:
            self.dog.feed()
            self._pressed(self._button.poll())
            if time.ticks_diff(time.ticks_ms(), ticked_ms) >= UPKEEP_MS:
                ticked_ms = time.ticks_ms()
                self._tick()
            await asyncio.sleep_ms(20)

    def _tick(self) -> None:
        self.kit.tick()
        if self.radio is not None:
            self.radio.tick(self.kit.charge)
        if self.kit.wiped:
            self.kit.wiped = False
            if self.radio is not None:
                self.radio.forget()
        if self.kit.update.on_trial and time.ticks_diff(time.ticks_ms(), self._born_ms) > TRIAL_MS:
            machine.reset()

    def _pressed(self, press: int) -> None:
        if press == SHORT:
            self._last.post(self.kit.press(self._last, BUTTON_SAMPLES))
        elif press == LONG and self.radio is not None:
            self.radio.open_pairing()


def run(hardware: Hardware) -> None:
    """Run the kit on its board; returns never."""
    asyncio.run(App(hardware).run())
