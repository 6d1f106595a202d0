"""What the kit answers, command by command, apart from its tasks."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import asyncio

import esp32
import frame
import machine
from front_end import FrontEnd, Source
from kit.afe import Afe
from kit.battery import Battery
from kit.config import Store
from kit.kit import Kit
from kit.leads import RIGHT_LEG_MS, SETTLE_MS, Leads
from kit.port import Link, Port
from kit.sampler import WRAP, Sampler
from kit.update import Update
from kit.watchdog import Watchdog
from same import same
from workbench import bench


def _made():
    front_end = FrontEnd(Source())
    bench.wire(front_end, 10, 9, 8)
    pin = machine.Pin
    afe = Afe(machine.SPI(1), pin(10), pin(9), pin(8))
    sampler = Sampler(afe, esp32.PCNT(0, max=WRAP), 8)
    store = Store(esp32.Partition.find(1, label="kitcfg")[0])
    dog = Watchdog(machine.WDT(8000), machine.RTC())
    update = Update(store, b"", "BOARD", 1)
    kit = Kit(afe, sampler, Leads(afe), store, update, dog, Battery(machine.ADC(pin(1))))
    kit.power_up()
    return kit, Port(Link()), front_end


def _result(kit: Kit, port: Port, kind: int, payload: bytes = b"", seq: int = 5) -> int:
    return frame.parse_ack(_payload(kit.answer(port, kind, seq, payload))).result


def _payload(data: bytes) -> bytes:
    return frame.Parser().feed(data)[0][2]


def test_who_it_is_and_how_it_is():
    kit, port, _ = _made()
    identity = frame.parse_identity(_payload(kit.answer(port, frame.CMD_ID, 1, b"")))
    same((identity.rate, identity.gain, identity.channels, identity.firmware), (500, 6, 8, "0.1.0-dev"))
    status = frame.parse_status(_payload(kit.answer(port, frame.CMD_LEAD_OFF, 2, b"")))
    same((status.state, status.off, status.battery), (frame.STATE_IDLE, 0x3FF, 71))
    health = frame.parse_health(_payload(kit.answer(port, frame.CMD_HEALTH, 3, b"")))
    same((health.sequence, health.faults, health.update), (1, 0, frame.UPDATE_NONE))
    assert health.heap_free > 1000


def test_what_comes_from_kits_is_not_answered():
    kit, port, _ = _made()
    same(kit.answer(port, frame.EV_DATA, 1, bytes(31)), b"")


def test_settings_hold_and_foreign_ones_do_not():
    kit, port, front_end = _made()
    same(_result(kit, port, frame.CMD_CONFIG, frame.Config(1000, 12, frame.CONFIG_TEST_SIGNAL).pack()), 0)
    same((front_end.rate(), front_end.registers[5], kit.leads.enabled), (1000, 0x65, False))
    identity = frame.parse_identity(_payload(kit.answer(port, frame.CMD_ID, 1, b"")))
    same((identity.rate, identity.gain), (1000, 12))
    for payload in (b"", frame.Config(300, 6).pack(), b"\x01\xf4\x05\x00"):
        same(_result(kit, port, frame.CMD_CONFIG, payload), frame.RESULT_BAD_PAYLOAD)
    same(front_end.rate(), 1000)


def test_a_start_that_comes_twice_is_answered_alike():
    kit, port, _ = _made()
    start = frame.pack_start(4)
    first = kit.answer(port, frame.CMD_START, 9, start)
    same(kit.answer(port, frame.CMD_START, 9, start), first)
    same(_result(kit, port, frame.CMD_START, start, 10), frame.RESULT_BUSY)
    for kind in (frame.CMD_CONFIG, frame.CMD_PROVISION, frame.CMD_WIPE, frame.CMD_RESTART, frame.CMD_UPDATE_BEGIN):
        same(_result(kit, port, kind, frame.Config().pack()), frame.RESULT_BUSY)


def test_a_start_while_electrodes_are_looked_at():
    kit, port, front_end = _made()

    async def after(ms: int) -> int:
        looking = asyncio.create_task(kit.leads.look())
        await asyncio.sleep_ms(ms)
        started = _result(kit, port, frame.CMD_START, frame.pack_start(0), ms)
        await looking
        return started

    for ms in (SETTLE_MS // 2, SETTLE_MS + RIGHT_LEG_MS // 2):
        same(asyncio.run(after(ms)), frame.RESULT_OK)
        same((front_end.registers[3] & 0xFE, kit.leads.fault), (0xCC, False))
        same(_result(kit, port, frame.CMD_STOP), frame.RESULT_OK)


def test_counts_of_a_recording():
    kit, port, front_end = _made()
    same(_result(kit, port, frame.CMD_START, frame.pack_start(0)), 0)
    for _ in range(10):  # a ring of eight holds seven
        front_end.convert()
        kit.sampler.drdy(None)
    kit.sampler.ring.release()
    kit.sent += 1
    status = frame.parse_status(_payload(kit.answer(port, frame.CMD_LEAD_OFF, 2, b"")))
    same((status.state, status.sent, status.lost), (frame.STATE_SAMPLING, 1, 3))
    ack = frame.parse_ack(_payload(kit.answer(port, frame.CMD_STOP, 3, b"")))
    same((ack.sent, ack.lost), (1, 9))  # what waits when it is stopped is never sent
    ack = frame.parse_ack(_payload(kit.answer(port, frame.CMD_STOP, 4, b"")))
    same((ack.result, ack.sent, ack.lost), (0, 1, 9))
    same(kit.finish(), b"")


def test_the_button():
    kit, port, _ = _made()
    same(frame.parse_status(_payload(kit.press(port, 100))).state, frame.STATE_SAMPLING)
    same((kit.sampler.wanted, kit.press(port, 100)), (100, b""))
    same(frame.parse_status(_payload(kit.finish())).state, frame.STATE_IDLE)


def test_an_amplifier_that_forgot_its_registers_does_not_record():
    kit, port, front_end = _made()
    front_end.reset(0)
    front_end.continuous = False
    same(_result(kit, port, frame.CMD_START, frame.pack_start(4)), frame.RESULT_FAULT)
    same((kit.recording, kit.press(port, 4)), (None, b""))
    kit.power_up()
    same(_result(kit, port, frame.CMD_START, frame.pack_start(4), 6), 0)


def test_serial_number_wipe_and_restart():
    kit, port, _ = _made()
    for serial in (b"", b"a;b", b"x" * 23, b"a b"):
        same(_result(kit, port, frame.CMD_PROVISION, serial), frame.RESULT_BAD_PAYLOAD)
    same(
        [_result(kit, port, frame.CMD_PROVISION, each) for each in (b"FK-1", b"FK-1", b"FK-2")],
        [0, 0, frame.RESULT_REFUSED],
    )
    same((_result(kit, port, frame.CMD_WIPE), kit.wiped, kit.store.config.serial), (0, True, "FK-1"))
    same((_result(kit, port, frame.CMD_RESTART), kit.restart), (0, True))
