"""The watchdog: fed while all beat, starved by one that does not, and told which after the restart."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import time

import machine
from kit.watchdog import Watchdog
from same import same
from workbench import bench


def _made() -> Watchdog:
    return Watchdog(machine.WDT(8000), machine.RTC())


def test_fed_while_all_beat():
    dog = _made()
    dog.add(1000)
    dog.add(1000)
    assert dog.feed()
    same((dog.late(), bench.feedings, dog.late_before), (0, 1, 0))


def test_one_late_task_starves_it_and_is_named_after_the_restart():
    dog = _made()
    quick, slow = dog.add(10_000), dog.add(5)
    time.sleep_ms(20)
    assert not dog.feed()
    quick.beat()
    same((dog.late(), bench.feedings), (2, 0))
    same(_made().late_before, 2)
    same(_made().late_before, 0)  # told once
    slow.beat()
    assert dog.feed()


def test_other_memory_is_not_believed():
    machine.RTC().memory(b"something else")
    same(_made().late_before, 0)
