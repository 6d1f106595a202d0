"""What the kit answers to each command (docs/kit-protocol.md): its state, apart from the tasks that drive it."""

import gc
import time

import frame
import machine
import release

from kit.afe import RATES, Afe, AfeError
from kit.battery import Battery
from kit.config import SERIAL_MAX, ConfigError, Store
from kit.leads import Leads
from kit.port import Port
from kit.sampler import Sampler
from kit.update import Update
from kit.watchdog import Watchdog

VREF_UV = 2400000
REPEAT_MS = 1000
"""A command that comes again within this time, byte for byte, is the same one: its answer was lost."""


class Kit:
    """`restart`: set once it was asked to restart; `recording`: the port that gets the DATA, None while idle."""

    def __init__(
        self, afe: Afe, sampler: Sampler, leads: Leads, store: Store, update: Update, dog: Watchdog, battery: Battery
    ) -> None:
        self.sampler = sampler
        self.leads = leads
        self.store = store
        self.update = update
        self.restart = False
        self.wiped = False
        self.recording: Port | None = None
        self.sent = 0
        self.charge = frame.BATTERY_UNKNOWN
        self._afe = afe
        self._dog = dog
        self._battery = battery
        self._settings = frame.Config()
        self._lost = 0
        self._torn = 0
        self._high = 0
        self._last = (-1, b"")
        self._last_answer = b""
        self._last_ms = time.ticks_ms()
        self._up_ms = time.ticks_ms()
        self._up_s = 0

    def power_up(self) -> None:
        """Bring the amplifier up; where it does not answer, the kit lives on and says so (STATE_FAULT)."""
        self.charge = self._battery.percent()
        try:
            self._afe.reset()
            self._configure(self._settings)
            self.leads.fault = False
        except AfeError:
            self.leads.fault = True
            self.leads.faults += 1

    def tick(self) -> None:
        """Once a second, while idle: the battery, the age, the heap."""
        self.charge = self._battery.percent()
        elapsed = time.ticks_diff(time.ticks_ms(), self._up_ms) // 1000
        self._up_s += elapsed
        self._up_ms = time.ticks_add(self._up_ms, elapsed * 1000)
        if self.recording is None:
            if self.leads.fault:
                self.power_up()
            gc.collect()

    def answer(self, port: Port, kind: int, seq: int, payload: bytes) -> bytes:
        """Return the answer to a frame, empty where it deserves none."""
        if kind >= 0x80:
            return b""
        if kind == frame.CMD_ID:
            return frame.frame(frame.EV_ID, seq, self._identity().pack())
        if kind == frame.CMD_LEAD_OFF:
            return frame.frame(frame.EV_STATUS, seq, self.status(port).pack())
        if kind == frame.CMD_HEALTH:
            return frame.frame(frame.EV_HEALTH, seq, self.health().pack())
        now = time.ticks_ms()
        command = (seq, bytes((kind,)) + payload)
        # Only START changes what a repeat of it would be answered.
        if kind == frame.CMD_START and command == self._last and time.ticks_diff(now, self._last_ms) < REPEAT_MS:
            return self._last_answer
        try:
            result = self._obey(port, kind, payload)
        except frame.FrameError:
            result = frame.RESULT_BAD_PAYLOAD
        except (AfeError, ConfigError):
            result = frame.RESULT_FAULT
        self._last, self._last_ms = command, now
        self._last_answer = frame.frame(frame.EV_ACK, seq, self._ack(kind, result).pack())
        return self._last_answer

    def press(self, port: Port, samples: int) -> bytes:
        """Begin a recording by the kit's own button; return what announces it, empty where one runs already."""
        try:
            begun = self._start(port, samples) == frame.RESULT_OK
        except AfeError:
            return b""
        return frame.frame(frame.EV_STATUS, 0, self.status(port).pack()) if begun else b""

    def finish(self) -> bytes:
        """End the recording; return the unasked STATUS that says so."""
        port = self.recording
        if port is None:
            return b""
        self._end()
        return frame.frame(frame.EV_STATUS, 0, self.status(port).pack())

    def status(self, port: Port) -> frame.Status:
        """Return state, electrodes, battery and counts."""
        state = frame.STATE_FAULT if self.leads.fault else frame.STATE_IDLE
        off = self.leads.off
        lost = self._lost
        if self.recording is not None:
            state, off, lost = frame.STATE_SAMPLING, self.sampler.off, self.sampler.lost
        return frame.Status(state, off, self.charge, self.sent, lost, port.parser.bad_crc)

    def health(self) -> frame.Health:
        """Return what a technician asks."""
        config = self.store.config
        return frame.Health(
            self._up_s,
            config.boots,
            machine.reset_cause(),
            self.update.state(),
            release.SEQUENCE,
            self._torn + self.sampler.torn if self.recording else self._torn,
            self.leads.faults,
            self._dog.late_before,
            max(self._high, self.sampler.ring.high),
            gc.mem_free(),
            config.failed,
        )

    def _identity(self) -> frame.Identity:
        serial = self.store.config.serial
        return frame.Identity(serial, release.VERSION, self._settings.rate, self._settings.gain, VREF_UV)

    def _ack(self, kind: int, result: int) -> frame.Ack:
        if frame.CMD_UPDATE_BEGIN <= kind <= frame.CMD_UPDATE_END:
            return frame.Ack(kind, result, self.update.wanted, 0)
        lost = self.sampler.lost if self.recording is not None else self._lost
        return frame.Ack(kind, result, self.sent, lost)

    def _obey(self, port: Port, kind: int, payload: bytes) -> int:
        if kind == frame.CMD_STOP:
            self._end()
            return frame.RESULT_OK
        if kind == frame.CMD_START:
            return self._start(port, frame.parse_start(payload))
        if kind not in _IDLE_ONLY:
            return frame.RESULT_UNKNOWN
        if self.recording is not None:
            return frame.RESULT_BUSY
        if kind == frame.CMD_CONFIG:
            return self._configure(frame.parse_config(payload))
        if kind == frame.CMD_PROVISION:
            return self._provision(payload)
        if kind == frame.CMD_WIPE:
            self.store.wipe()
            self.wiped = True
            return frame.RESULT_OK
        if kind == frame.CMD_RESTART:
            self.restart = True
            return frame.RESULT_OK
        return self._update(kind, payload)

    def _update(self, kind: int, payload: bytes) -> int:
        if kind == frame.CMD_UPDATE_BEGIN:
            return self.update.begin(frame.parse_update(payload))
        if kind == frame.CMD_UPDATE_DATA:
            return self.update.piece(*frame.parse_piece(payload))
        if kind == frame.CMD_UPDATE_END:
            return self.update.end()
        return self.update.confirm(not self.leads.fault)

    def _start(self, port: Port, wanted: int) -> int:
        if self.recording is not None:
            return frame.RESULT_BUSY
        self.leads.interrupt()
        self._afe.check()
        gc.collect()  # now, rather than in the middle
        self.sent = 0
        self.recording = port
        port.wake()
        self.sampler.begin(wanted, self.leads.enabled, self.leads.right_leg_off)
        return frame.RESULT_OK

    def _end(self) -> None:
        """Stop; samples taken that will never be sent are lost."""
        if self.recording is None:
            return
        self.sampler.end()
        self._lost = self.sampler.lost + len(self.sampler.ring)
        self._torn += self.sampler.torn
        self._high = max(self._high, self.sampler.ring.high)
        self.recording = None

    def _configure(self, settings: frame.Config) -> int:
        if settings.rate not in RATES:
            return frame.RESULT_BAD_PAYLOAD
        lead_off = bool(settings.flags & frame.CONFIG_LEAD_OFF)
        self.leads.interrupt()
        self._afe.converting(False)
        self._afe.configure(settings.rate, settings.gain, lead_off, bool(settings.flags & frame.CONFIG_TEST_SIGNAL))
        self.leads.enabled = lead_off
        self._settings = settings
        return frame.RESULT_OK

    def _provision(self, payload: bytes) -> int:
        """Take the serial number, once in the life of the kit; the same one again is harmless."""
        if not 0 < len(payload) <= SERIAL_MAX or not all(33 <= byte <= 126 and byte != 59 for byte in payload):
            return frame.RESULT_BAD_PAYLOAD
        serial = payload.decode()
        if self.store.config.serial not in ("", serial):
            return frame.RESULT_REFUSED
        self.store.config.serial = serial
        self.store.save()
        return frame.RESULT_OK


_IDLE_ONLY = (
    frame.CMD_CONFIG,
    frame.CMD_PROVISION,
    frame.CMD_WIPE,
    frame.CMD_UPDATE_BEGIN,
    frame.CMD_UPDATE_DATA,
    frame.CMD_UPDATE_END,
    frame.CMD_UPDATE_CONFIRM,
    frame.CMD_RESTART,
)
