"""The charge by the voltage."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import machine
from kit.battery import Battery, percent
from same import same
from workbench import bench


def test_the_curve():
    same([percent(mv) for mv in (3000, 3300, 3600, 3650, 3900, 4150, 4300)], [0, 0, 10, 20, 71, 100, 100])
    levels = [percent(mv) for mv in range(2500, 4400, 10)]
    assert levels == sorted(levels)


def test_none_fitted():
    same(percent(900), 255)


def test_measured_behind_the_divider():
    bench.microvolts = 1800000
    same(Battery(machine.ADC(machine.Pin(1))).percent(), 10)
