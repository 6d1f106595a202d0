"""Made-up gateways for tests, benchmarks and load trials: real messages over real MQTT, everything from one seed.

A `SimulatedGateway` makes messages; a `GatewayClient` publishes them with the gateway's own certificate and keeps its
receipts. What is lost or doubled is then a question to the database.
"""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import paho.mqtt.client as mqtt
from feldsher_ehr_core import vitals, wire
from feldsher_ehr_core.ecg import Interpretation
from feldsher_ehr_core.ids import reading_id, uuid7
from feldsher_signal import codec, synth
from feldsher_signal.record import Recording
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from feldsher_ingest.link import send_at_once, tls_context
from feldsher_ingest.settings import Tls

START_US = 1_795_400_000_000_000  # 2026-11-22
_PRESSURE = (vitals.SYSTOLIC, vitals.DIASTOLIC, vitals.MEAN, vitals.PULSE)


class SimulatedGateway:
    """Messages of one gateway. `seed` decides every value, id and time; time moves one second per message."""

    def __init__(self, name: str, seed: int, clock: wire.ClockQuality = "synced") -> None:
        self.name = name
        self.clock: wire.ClockQuality = clock
        self._random = random.Random(f"{name}/{seed}")  # noqa: S311 (simulation)
        self._numbers = np.random.default_rng(self._random.getrandbits(64))
        self._boot = uuid7(START_US // 1000, self._random.randbytes(10))
        self._seq = 0

    def envelope(self) -> wire.Envelope:
        """Return the next message's envelope."""
        self._seq += 1
        wall = START_US + self._seq * 1_000_000
        return wire.Envelope(
            id=uuid7(wall // 1000, self._random.randbytes(10)),
            gateway=self.name,
            boot=self._boot,
            seq=self._seq,
            mono_ns=self._seq * 1_000_000_000,
            wall_us=wall,
            offset_min=300,
            clock=self.clock,
        )

    def pressure(self, readings: int = 1, device: str | None = None, *, clocked: bool = True) -> wire.VitalsBatch:
        """Return blood pressure readings, four values each, a second apart; `clocked`: by the cuff's own clock."""
        env = self.envelope()
        device = device or f"cuff-{self.name}"
        columns: list[tuple[UUID, int, str, str, int, str | None]] = []
        for i in range(readings):
            values = [str(self._random.randrange(60, 180)) for _ in _PRESSURE]
            pairs = [(vital.mdc, value) for vital, value in zip(_PRESSURE, values, strict=True)]
            at = env.wall_us + i * 1_000_000
            local = datetime.fromtimestamp(at // 1_000_000 + env.offset_min * 60, UTC).replace(tzinfo=None)
            sent = local.isoformat() if clocked else None
            reading = reading_id(device=device, user=1, sent_at=sent, values=pairs, sequence=env.seq * 10_000 + i)
            columns += [
                (reading, vital.mdc, value, vital.unit, at, sent)
                for vital, (_, value) in zip(_PRESSURE, pairs, strict=True)
            ]
        n = len(columns)
        return wire.VitalsBatch(
            env=env,
            device=device,
            model="simulated",
            reading=tuple(c[0] for c in columns),
            code=tuple(c[1] for c in columns),
            value=tuple(c[2] for c in columns),
            absent=(None,) * n,
            unit=tuple(c[3] for c in columns),
            sent_at=tuple(c[5] for c in columns),
            time_us=tuple(c[4] for c in columns),
            received_us=(env.wall_us,) * n,
            user=(1,) * n,
            status=(0,) * n,
        )

    def recording(self, leads: int = 12, seconds: float = 10.0, fs: float = 500.0) -> wire.EcgRecording:
        """Return a recording whose samples drift like a baseline: its coded size is that of a quiet cardiogram."""
        steps = self._numbers.integers(-6, 7, size=(leads, round(seconds * fs)), dtype=np.int32)
        samples = np.cumsum(steps, axis=1, dtype=np.int32)
        return self._message(Recording(tuple(f"L{i}" for i in range(leads)), fs, samples, (4.88,) * leads))

    def cardiogram(
        self, patient: synth.Patient, seconds: float = 10.0, interpretation: Interpretation | None = None
    ) -> wire.EcgRecording:
        """Return a recording of a synthetic patient at 500 samples per second, as interpreted by its gateway."""
        recording, _ = synth.ecg(patient, seconds, seed=self._random.getrandbits(31), uv_per_bit=4.88)
        return self._message(recording, interpretation)

    def _message(self, recording: Recording, interpretation: Interpretation | None = None) -> wire.EcgRecording:
        env = self.envelope()
        return wire.EcgRecording(
            env=env,
            device=f"kit-{self.name}",
            order=None,
            fs=recording.fs,
            leads=recording.leads,
            uv_per_bit=recording.uv_per_bit,
            n=recording.n,
            codec=codec.ZDB32,
            samples=codec.encode(recording.samples),
            sha256=codec.sha256(recording.samples),
            started_us=env.wall_us - round(recording.n / recording.fs * 1_000_000),
            ended_us=env.wall_us,
            interpretation=interpretation,
        )

    def piece(self, stream: UUID, part: int, *, seconds: float = 10.0, fs: float = 130.0) -> wire.EcgRecording:
        """Return a piece of a belt's continuous ECG: pieces of one stream follow each other without a gap."""
        made = self.recording(leads=1, seconds=seconds, fs=fs)
        length = round(seconds * 1_000_000)
        begin = START_US + part * length
        return msgspec.structs.replace(
            made, device=f"belt-{self.name}", leads=("CHEST",), uv_per_bit=(1.0,), stream=stream, part=part,
            started_us=begin, ended_us=begin + length,
        )  # fmt: skip

    def birth(self) -> wire.Birth:
        """Return a birth."""
        return wire.Birth(env=self.envelope(), software="simulated", starts=1, devices=(f"cuff-{self.name}",))

    def heartbeat(self) -> wire.Heartbeat:
        """Return a heartbeat."""
        return wire.Heartbeat(env=self.envelope(), outbox_rows=0, outbox_bytes=0, oldest_us=None, sources={})


class GatewayClient:
    """One gateway's MQTT connection: publishes at QoS 1, keeps what came down and how the broker answered.

    A context manager. `tls`: the gateway's certificate; its common name is the gateway's name.
    """

    def __init__(self, name: str, host: str, port: int, tls: Tls) -> None:
        self.name = name
        self._address = (host, port)
        self._changed = threading.Condition()
        self._connected: ReasonCode | None = None
        self._ended = False
        self.receipts: dict[UUID, list[wire.ReceiptState]] = {}
        self.resends: list[wire.ResendRequest] = []
        self.answers: dict[int, str] = {}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self._client.tls_set_context(tls_context(tls))  # pyright: ignore[reportUnknownMemberType]
        self._client.max_inflight_messages_set(100)
        self._client.on_socket_open = send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        with self._changed:  # paho's own word does not change where it does not connect again
            return self._connected is not None and not self._connected.is_failure and not self._ended

    def connect(self, timeout_s: float = 60.0) -> None:
        """Connect and subscribe to everything that comes down; OSError where the broker refuses."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._connected, self._ended = None, False
        self._client.connect(*self._address, clean_start=False, properties=properties)
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected is not None, timeout_s)
        if self._connected is None or self._connected.is_failure:
            self.close()
            raise ConnectionRefusedError(str(self._connected))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> GatewayClient:
        """Connect."""
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.close()

    def send(self, message: wire.Up, topic: str | None = None) -> int:
        """Publish a message on its own topic (or, to forge, another) without waiting; return the packet's number."""
        kind = str(message.__struct_config__.tag)
        return self.send_bytes(topic or wire.up_topic(self.name, kind), wire.encode(message))

    def send_bytes(self, topic: str, payload: bytes, qos: int = 1) -> int:
        """Publish bytes without waiting; return the packet's number."""
        return self._client.publish(topic, payload, qos=qos).mid

    def wait_receipts(self, ids: set[UUID], timeout_s: float = 60.0) -> bool:
        """Wait until every message has a receipt; return whether that came true."""
        with self._changed:
            return self._changed.wait_for(lambda: ids <= self.receipts.keys(), timeout_s)

    def wait_answer(self, packet: int, timeout_s: float = 60.0) -> str | None:
        """Wait for the broker's answer to a packet; return its reason, None where none came."""
        with self._changed:
            self._changed.wait_for(lambda: packet in self.answers, timeout_s)
            return self.answers.get(packet)

    def wait_resend(self, timeout_s: float = 60.0) -> bool:
        """Wait until the gateway has been asked to send again; return whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.resends), timeout_s)

    def _on_connect(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del userdata, flags, properties
        if not reason.is_failure:
            client.subscribe(wire.down_topic(self.name, "+"), qos=1)
        with self._changed:
            self._connected = reason
            self._changed.notify_all()

    def _on_disconnect(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, properties
        with self._changed:
            self._connected = self._connected or reason
            self._ended = True
            self._changed.notify_all()

    def _on_publish(
        self, client: mqtt.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties
    ) -> None:
        del client, userdata, properties
        with self._changed:
            self.answers[mid] = str(reason)
            self._changed.notify_all()

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        down = wire.decode_down(bytes(message.payload))
        with self._changed:
            if isinstance(down, wire.Receipt):
                for message_id, state in zip(down.ids, down.states, strict=True):
                    self.receipts.setdefault(message_id, []).append(state)
            elif isinstance(down, wire.ResendRequest):
                self.resends.append(down)
            self._changed.notify_all()
