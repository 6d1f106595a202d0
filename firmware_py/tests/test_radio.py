"""The kit over Bluetooth, on a radio made of software: services, trust, and frames in packets of any length."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import binascii

import esp32
import frame
from air import BLE, UUID
from kit import radio
from kit.bonds import Bonds
from kit.radio import COMMANDS, EVENTS, SERVICE, Radio
from same import same


def _made():
    ble = BLE()
    ble.clear()
    return Radio(ble, Bonds(esp32.NVS("kit")), "feldsher kit 000123", "FK-000123", "1.2.0"), ble


def _trusted(mtu: int = 247):
    it, ble = _made()
    it.open_pairing()
    ble.connect(7)
    ble.exchange_mtu(7, mtu)
    assert ble.encrypt(7, True, b"key")
    return it, ble


def test_what_it_shows():
    _, ble = _made()
    for uuid, value in ((0x2A29, b"feldsher"), (0x2A24, b"feldsher kit"), (0x2A25, b"FK-000123"), (0x2A26, b"1.2.0")):
        same(ble.values[ble.handles[UUID(uuid).data]], value)
    same(ble.flags[ble.handles[UUID(COMMANDS).data]] & 0x1000, 0x1000)  # only over an encrypted link
    same((ble.settings["bond"], ble.settings["le_secure"]), (True, True))
    data, answer = ble.advertising
    same(data, b"\x02\x01\x06\x14\x09feldsher kit 000123")
    same(answer, b"\x11\x07" + bytes(reversed(binascii.unhexlify(SERVICE.replace("-", "")))))
    assert len(data) <= 31
    assert len(answer) <= 31


def test_the_battery():
    it, ble = _made()
    it.tick(76)
    same(ble.values[ble.handles[UUID(0x2A19).data]], b"\x4c")


def test_a_command_and_its_answer():
    it, ble = _trusted()
    command = frame.frame(frame.CMD_ID, 3)
    ble.write(7, UUID(COMMANDS), command)
    into = bytearray(64)
    same((it.present(), it.read(into)), (True, len(command)))
    same(bytes(into[: len(command)]), command)
    same(it.read(into), 0)
    same(it.write(memoryview(b"answer")), 6)
    it.read(into)  # the next look at the line sends what waits
    same(ble.notified, [(7, ble.handles[UUID(EVENTS).data], b"answer")])


def test_frames_fill_packets_of_any_length():
    for mtu in (23, 185, 247, 517):
        it, ble = _trusted(mtu)
        frames = b"".join([frame.frame(frame.EV_DATA, n, bytes(31)) for n in range(20)])
        same(it.write(memoryview(frames)), len(frames))
        it.read(bytearray(1))
        same(b"".join([data for _, _, data in ble.notified]), frames)
        assert max(len(data) for _, _, data in ble.notified) == min(mtu, 247) - 3


def test_full_buffers_are_waited_for():
    it, ble = _trusted(23)
    ble.buffers = 2
    data = bytes(range(100))
    taken = it.write(memoryview(data))
    same(taken, 60)
    ble.buffers = 10
    same(it.write(memoryview(data[taken:])), 40)
    it.read(bytearray(1))
    same(b"".join([each for _, _, each in ble.notified]), data)


def test_strangers():
    it, ble = _made()
    ble.connect(7)
    ble.write(7, UUID(COMMANDS), b"unencrypted")
    same((it.read(bytearray(20)), it.write(memoryview(b"secret")), it.present()), (0, 0, False))
    same(ble.encrypt(7, True, b"new key"), False)  # bonding is closed
    same((ble.sent_away, it.present()), ([7], False))
    it, ble = _made()
    radio.STRANGER_MS = -1  # one that never encrypts
    ble.connect(8)
    it.tick(50)
    same(ble.sent_away, [8])
    radio.STRANGER_MS = 10_000


def test_a_known_peer_needs_no_button_and_a_forgotten_one_does():
    it, ble = _trusted()
    ble.disconnect(7)
    assert ble.advertising is not None
    radio.PAIRING_MS = -1
    it.tick(50)  # bonding is closed again
    radio.PAIRING_MS = 120_000
    ble.connect(9)
    same((ble.handler(29, (1, 0, b"key")), ble.encrypt(9, True), it.present()), (b"secret of key", True, True))
    it.forget()
    same((ble.sent_away, ble.handler(29, (1, 0, b"key")), it.present()), ([9], None, False))


def test_nobody_fills_the_memory():
    it, ble = _trusted()
    for _ in range(40):
        ble.write(7, UUID(COMMANDS), bytes(50))
    same(len(it._received), 500)
